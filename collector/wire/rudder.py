"""RudderStack's own addresses; its calls are Segment's (wire/segment.py)."""

import msgspec

from collector.wire.message import Answer

_CONFIG = {
    "source": {
        "id": "collector",
        "name": "collector",
        "workspaceId": "collector",
        "enabled": True,
        "config": {
            "statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}
        },
        "connections": [],
        "destinations": [],
    }
}
_ANSWER = Answer(200, "application/json", msgspec.json.encode(_CONFIG))


def source_config(key: str, public_url: str) -> Answer:
    """`GET /sourceConfig/`: the browser SDK does not start without it. No destinations, so that it
    loads no scripts of others."""
    return _ANSWER
