"""Edges at the centre, and imported files: each number of a node once, at any age.

A node's events come lane by lane in rising order (event.py), so a number above its lane's last
one is new: that is the common case, and costs a comparison. Any other is looked up in the log:
there with the same message id it was sent again; there with another, two nodes count with the
same id, a restored or cloned data folder; not there, it was never taken and is taken now.

Invariant: the lanes in memory move after the commit of the rows, and in its transaction in the
database.
"""

import logging
from functools import partial

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector import clock
from collector.errors import Conflict
from collector.event import LANES, Event, Reject, lane
from collector.store import database as db
from collector.store.arrivals import BLOCK_BITS, IMPORT, Absent, Block, Note
from collector.store.log import Appended, EventLog

log = logging.getLogger(__name__)
Number = tuple[str, int]  # node id, number
_encode = msgspec.json.Encoder().encode

_FIND = (
    "SELECT e.node_id, e.node_seq, e.message_id FROM edge_arrivals a JOIN events e "
    "ON e.seq BETWEEN a.first_seq AND a.last_seq "
    "WHERE a.node_id = ?1 AND a.block = ?2 AND e.node_id = ?1 AND e.node_seq IN "
    "(SELECT value FROM json_each(?3))"
)
_OWN = (
    "SELECT seq, message_id FROM events WHERE node_id = ?1 AND node_seq = seq "
    "AND seq IN (SELECT value FROM json_each(?2))"
)
_ABSENT = (
    "SELECT 1 FROM (SELECT last_number FROM absent_numbers WHERE node_id = ?1 AND "
    "first_number <= ?2 ORDER BY first_number DESC LIMIT 1) WHERE last_number >= ?2"
)


class _Node(msgspec.Struct):
    edge: str
    lanes: list[int]


class Edges:
    """The nodes that forward here. Used by one task, the writer's. `names`: of the settings."""

    def __init__(
        self,
        database: db.Database,
        event_log: EventLog,
        names: frozenset[str],
        nodes: dict[str, _Node],
    ) -> None:
        self._database = database
        self._log = event_log
        self._names = names
        self._nodes = nodes

    async def append(
        self,
        edge: str,
        events: list[Event],
        rejects: list[Reject],
        refused: list[Event],
        text: str | None = None,
    ) -> Appended:
        """Store what is new of a batch of one edge; when it is on disk `durable` says, as in
        EventLog.insert. `refused` are of it too, and only their numbers are noted. `text`: the
        events as they came. Raises Conflict, StoreUnavailable or BadRow, and then nothing of it
        was stored."""
        nodes = {_number(event)[0] for event in (*events, *refused)}
        lanes = {node: self._lanes(edge, node) for node in nodes}
        own = self._log.node_id if edge == IMPORT else None
        old = [event for event in events if not _advance(lanes, event) or event.node_id == own]
        fresh = events
        if old:
            _tell_apart(edge, events)
            known = await self._known(edge, old)
            fresh = [event for event in events if _number(event) not in known]
        if own:
            await self._pass_over(own, fresh)
        note = partial(_note, edge, lanes, fresh, refused)
        result = await self._log.insert(fresh, rejects, note, None if old else text)
        for node, last in lanes.items():
            known_as = self._nodes[node].edge if edge == IMPORT and node in self._nodes else edge
            self._nodes[node] = _Node(known_as, last)
        return msgspec.structs.replace(result, duplicates=len(events) - result.stored)

    def _lanes(self, edge: str, node_id: str) -> list[int]:
        """A copy of the node's last numbers. Raises Conflict when it is another edge's."""
        node = self._nodes.get(node_id)
        if node is None:
            return [0] * LANES
        if edge not in (node.edge, IMPORT) and node.edge in self._names:
            raise Conflict(
                f"node {node_id} belongs to edge {node.edge}: the data folder of {edge} is a copy "
                "of it"
            )
        return list(node.lanes)

    async def _pass_over(self, own: str, events: list[Event]) -> None:
        """Numbers of this node that come back by an import are not given away again."""
        highest = max((e.node_seq or 0 for e in events if e.node_id == own), default=0)
        if highest > self._log.last_seq:
            await self._log.skip_to(highest)

    async def _known(self, edge: str, events: list[Event]) -> set[Number]:
        """The numbers of those events that were taken before."""
        numbers = [_number(event) for event in events]
        stored = await self._database.run(find, numbers)
        if edge == IMPORT:
            stored |= await self._database.run(_own, self._log.node_id, numbers)
        for event in events:
            there = stored.get(_number(event))
            if there is not None and there not in ("", event.message_id):
                raise _cloned(edge, event)
        return set(stored)


def _number(event: Event) -> Number:
    return event.node_id or "", event.node_seq or 0


def _cloned(edge: str, event: Event) -> Conflict:
    return Conflict(
        f"node {event.node_id} sends another event as its number {event.node_seq}: the data "
        f"folder of edge {edge} was restored or cloned; there, `collector forward new-node` "
        "counts anew"
    )


def _tell_apart(edge: str, events: list[Event]) -> None:
    """Raises Conflict where a number stands for two events of a batch."""
    seen: dict[Number, str] = {}
    for event in events:
        if seen.setdefault(_number(event), event.message_id) != event.message_id:
            raise _cloned(edge, event)


def _advance(lanes: dict[str, list[int]], event: Event) -> bool:
    """True for a number above its lane's last one, which it then is."""
    node_id, number = _number(event)
    last, at = lanes[node_id], lane(event)
    if number <= last[at]:
        return False
    last[at] = number
    return True


def _note(
    edge: str,
    lanes: dict[str, list[int]],
    sent: list[Event],
    refused: list[Event],
    stored: list[Event],
) -> Note:
    """Of `sent`, what the log has not stored it had under another number."""
    spans: dict[tuple[str, int], list[int]] = {}
    for place, event in enumerate(stored):
        node_id, number = _number(event)
        spans.setdefault((node_id, number >> BLOCK_BITS), [place, place])[1] = place
    absent = [Absent(*_number(event), event.node_seq or 0, "rejected") for event in refused]
    if len(stored) < len(sent):
        there = {_number(event) for event in stored}
        numbers = [_number(event) for event in sent]
        absent += [Absent(n, i, i, "duplicate") for n, i in numbers if (n, i) not in there]
    return Note(
        edge,
        clock.now_ms(),
        {node: _encode(last).decode() for node, last in lanes.items()},
        [Block(node, block, *span) for (node, block), span in spans.items()],
        absent,
    )


def find(connection: sqlite.Connection, numbers: list[Number]) -> dict[Number, str]:
    """Which of the numbers were taken: the message id of each, "" where no row has it."""
    blocks: dict[tuple[str, int], list[int]] = {}
    for node_id, number in numbers:
        blocks.setdefault((node_id, number >> BLOCK_BITS), []).append(number)
    found: dict[Number, str] = {}
    for (node_id, block), wanted in blocks.items():
        rows = connection.execute(_FIND, (node_id, block, _encode(wanted).decode()))
        found |= {(n, number): message_id for n, number, message_id in rows}
    for node_id, number in numbers:
        number_of = (node_id, number)
        if number_of not in found and connection.execute(_ABSENT, number_of).fetchone():
            found[number_of] = ""
    return found


def _own(connection: sqlite.Connection, node_id: str, numbers: list[Number]) -> dict[Number, str]:
    """Which of the numbers are of events accepted here, whose number is their seq."""
    wanted = _encode([number for node, number in numbers if node == node_id]).decode()
    rows = connection.execute(_OWN, (node_id, wanted))
    return {(node_id, seq): message_id for seq, message_id in rows}


async def open_edges(database: db.Database, event_log: EventLog, names: frozenset[str]) -> Edges:
    return Edges(database, event_log, names, await database.run(_nodes))


def _nodes(connection: sqlite.Connection) -> dict[str, _Node]:
    rows = connection.execute("SELECT node_id, name, lanes FROM edges").fetchall()
    return {node: _Node(name, msgspec.json.decode(lanes)) for node, name, lanes in rows}
