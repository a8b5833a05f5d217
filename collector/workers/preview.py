"""A rule tried on any past moment, from the log: who would have belonged then.

Who is who is taken as it is known today; events, purchases and traits as they were then.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from collector.audience.evaluate import evaluate
from collector.audience.judge import Known, history, wanted
from collector.audience.nodes import Node
from collector.audience.plan import Audience, Plan
from collector.store import histories
from collector.store.reader import Reader
from collector.workers.audiences import KNOWN, learn_all

_PORTION = 2000


async def preview(
    reader: Reader, node: Node, at: int, site: str, most_events: int
) -> AsyncIterator[tuple[int, list[int]]]:
    """Numbers of the people who belonged at `at`, a portion at a time, each with how many
    people were looked at."""
    plan = Plan([Audience(0, "", site, node)], KNOWN)
    await reader.run(learn_all, plan)
    first: int | None = 0
    while first is not None:
        people = await reader.run(histories.people_from, first, _PORTION)
        yield len(people), await reader.run(_belonging, plan, people, at, most_events)
        first = people[-1] + 1 if len(people) == _PORTION else None


def _belonging(
    connection: Any, plan: Plan, people: list[int], at: int, most_events: int
) -> list[int]:
    (audience,) = plan.audiences
    need = histories.Need(
        most_events,
        None if plan.reads_people else plan.relevant(),
        consents=False,
        bought=plan.asks("purchase"),
        left=plan.reads_people or plan.asks("lead"),
    )
    known = histories.load(connection, people, need)
    learn_all(connection, plan)
    identifies = plan.numbers_of("identify") if plan.reads_people else set()
    seqs = {seq for one in known.values() for seq in wanted(plan, one)}
    seqs |= {line.seq for one in known.values() for of in one.lines for line in of.lines
             if line.name in identifies and line.at <= at}  # fmt: skip
    events = histories.events(connection, seqs)
    found = []
    for person, one in known.items():
        profile = one.profile
        if profile is None or profile.first_seen > at or audience.site not in ("", profile.site):
            continue
        traits = _traits_then(one, identifies, events, at) if plan.reads_people else {}
        if evaluate(audience.node, history(plan, _until(one, at), events, traits), at)[0]:
            found.append(person)
    return found


def _until(one: Known, at: int) -> Known:
    """Without what was later, so that last seen is what it was."""
    lines = [
        msgspec.structs.replace(of, lines=[line for line in of.lines if line.at <= at])
        for of in one.lines
    ]
    return msgspec.structs.replace(one, lines=lines)


def _traits_then(one: Known, identifies: set[int], events: Any, at: int) -> dict[str, Any]:
    """What identify calls had said until then, the newest word of each; the address of a lead
    where none of them gave one."""
    seqs = [line.seq for of in one.lines for line in of.lines if line.name in identifies]
    said = [events[seq] for seq in seqs if seq in events]
    traits: dict[str, Any] = {}
    for event in sorted(said, key=lambda event: (event.timestamp, event.message_id)):
        traits |= msgspec.json.decode(event.traits) if event.traits else {}
    if "email" not in traits and one.profile and any(left.at <= at for left in one.left):
        traits["email"] = one.profile.email
    return traits
