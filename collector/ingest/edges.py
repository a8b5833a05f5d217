"""Whose word on events is believed: edges, known by their keys."""

from typing import Annotated, Any

import msgspec

from collector.errors import CollectorError, Refused
from collector.fleet import Edge
from collector.wire import segment
from collector.wire.message import Answer, Request
from collector.workers.fleet import Beat, Fleet

NodeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Number = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
_WIDEST = 65_536


class EdgeKeys:
    def __init__(self, configured: tuple[Edge, ...]) -> None:
        self._names = {edge.key: edge.name for edge in configured}

    def authenticate(self, key: str | None) -> str:
        """The edge's name. Raises Refused."""
        name = self._names.get(key) if key else None
        if name is None:
            raise Refused(401, "unauthorized", "no key of an edge that is configured here")
        return name


class _Question(msgspec.Struct):
    node: NodeId
    range: tuple[Number, Number]
    numbers: bool = False


class _Node(msgspec.Struct):
    node: NodeId


class EdgeDesk:
    """What edges ask and say beside their events: `POST /v1/edge/audit`, `/v1/edge/heartbeat`."""

    def __init__(self, configured: tuple[Edge, ...], fleet: Fleet) -> None:
        self._keys = EdgeKeys(configured)
        self._fleet = fleet
        self._paths = {"/v1/edge/audit": self._audit, "/v1/edge/heartbeat": self._beat}

    def knows(self, path: str) -> bool:
        return path in self._paths

    async def answer(self, request: Request) -> Answer:
        try:
            edge = self._keys.authenticate(segment.basic_user(request))
            value = await self._paths[request.url.raw_path](edge, request.body)
        except Refused as error:
            return segment.error(error)
        except msgspec.DecodeError as error:
            return segment.error(Refused(400, "bad_request", str(error)))
        except CollectorError as error:
            return segment.error(Refused(503, "unavailable", str(error)))
        return Answer(200, "application/json", msgspec.json.encode(value))

    async def _audit(self, edge: str, body: bytes) -> Any:
        asked = msgspec.json.decode(body, type=_Question)
        first, last = asked.range
        if not first <= last < first + _WIDEST:
            raise Refused(400, "bad_request", f"expected a range of at most {_WIDEST} numbers")
        if not asked.numbers:
            return await self._fleet.digest(asked.node, first, last)
        runs, absent = await self._fleet.numbers(asked.node, first, last)
        return {"runs": runs, "absent": absent}

    async def _beat(self, edge: str, body: bytes) -> Any:
        msgspec.json.decode(body, type=_Node)
        return {"now": await self._fleet.beat(edge, msgspec.json.decode(body, type=Beat))}
