"""Whose word on events is believed: edges, known by their keys."""

from collector.errors import Refused
from collector.fleet import Edge


class EdgeKeys:
    def __init__(self, configured: tuple[Edge, ...]) -> None:
        self._names = {edge.key: edge.name for edge in configured}

    def authenticate(self, key: str | None) -> str:
        """The edge's name. Raises Refused."""
        name = self._names.get(key) if key else None
        if name is None:
            raise Refused(401, "unauthorized", "no key of an edge that is configured here")
        return name
