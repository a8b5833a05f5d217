"""Whose word on events is believed: edges, known by their keys."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from collector.errors import CollectorError, Refused
from collector.fleet import Edge
from collector.store.suppressed import Name
from collector.wire import segment
from collector.wire.message import Answer, Request
from collector.workers.fleet import Beat, Fleet

NodeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Number = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=32_768)]
Erase = Callable[[str, list[Name], list[str] | None], None]
_WIDEST = 65_536


class EdgeKeys:
    def __init__(self, configured: tuple[Edge, ...]) -> None:
        self._edges = {edge.key: edge for edge in configured}

    def authenticate(self, key: str | None) -> Edge:
        """Raises Refused."""
        edge = self._edges.get(key) if key else None
        if edge is None:
            raise Refused(401, "unauthorized", "no key of an edge that is configured here")
        return edge


class _Question(msgspec.Struct):
    node: NodeId
    range: tuple[Number, Number]
    numbers: bool = False


class _Node(msgspec.Struct):
    node: NodeId


class _Erase(msgspec.Struct):
    """`id`: as the edge calls it; `names`: site, kind and value of each."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    names: Annotated[
        list[tuple[Text, Literal["user", "anonymous", "email"], Text]], msgspec.Meta(max_length=500)
    ]


class EdgeDesk:
    """What edges ask and say beside their events: `POST /v1/edge/audit`, `…/heartbeat`,
    `…/erase`. `erase` returns when it has noted whom an edge wants forgotten, on which sites."""

    def __init__(self, configured: tuple[Edge, ...], fleet: Fleet, erase: Erase) -> None:
        self._keys = EdgeKeys(configured)
        self._fleet = fleet
        self._forget = erase
        self._paths = {
            "/v1/edge/audit": self._audit,
            "/v1/edge/heartbeat": self._beat,
            "/v1/edge/erase": self._erase,
        }

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

    async def _audit(self, edge: Edge, body: bytes) -> Any:
        asked = msgspec.json.decode(body, type=_Question)
        first, last = asked.range
        if not first <= last < first + _WIDEST:
            raise Refused(400, "bad_request", f"expected a range of at most {_WIDEST} numbers")
        if not asked.numbers:
            return await self._fleet.digest(asked.node, first, last)
        runs, absent = await self._fleet.numbers(asked.node, first, last)
        return {"runs": runs, "absent": absent}

    async def _beat(self, edge: Edge, body: bytes) -> Any:
        msgspec.json.decode(body, type=_Node)
        return {"now": await self._fleet.beat(edge.name, msgspec.json.decode(body, type=Beat))}

    async def _erase(self, edge: Edge, body: bytes) -> Any:
        asked = msgspec.json.decode(body, type=_Erase)
        foreign = {site for site, _, _ in asked.names if edge.sites and site not in edge.sites}
        own = [name for name in asked.names if name[0] not in foreign]
        if own:
            self._forget(f"{edge.name}-{asked.id}", list(own), list(edge.sites) or None)
        return {"names": len(own), "refused": sorted(foreign)}
