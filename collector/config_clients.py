"""Which clients are served. Part of config.py."""

from typing import Annotated

from msgspec import Meta

from collector.section import Section


class Clients(Section, frozen=True):
    """Whose clients are spoken to, beside the pixel; docs/CLIENTS.md says what each sends. The
    paths of one that is off answer 404."""

    segment: Annotated[bool, Meta(description="Segment's SDKs and HTTP API")] = True
    rudderstack: Annotated[bool, Meta(description="RudderStack's SDKs")] = True
    snowplow: Annotated[bool, Meta(description="Snowplow's trackers")] = True
    plausible: Annotated[bool, Meta(description="Plausible's trackers")] = True
    umami: Annotated[bool, Meta(description="Umami's tracker")] = True
    proxy_ids: Annotated[
        bool,
        Meta(
            description="the X-Request-Id of a trusted proxy is the message id where a client "
            "gives none (Plausible, Umami), so that the proxy may send a request again. Only where "
            "the proxy makes a new one for each request"
        ),
    ] = False
