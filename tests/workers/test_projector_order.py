"""Any order, repetition and split of the same events gives the same people and purchases."""

import asyncio
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.people import make_event, told

ids = st.sampled_from(["ada", "bob", "cleo", "null"])
visitors = st.sampled_from(["v1", "v2", "v3", "undefined"])
addresses = st.sampled_from(["ada@x.example", "Ada@x.example ", "bob@x.example", "no address"])
traits = st.dictionaries(st.sampled_from(["plan", "city"]), st.sampled_from("abc"), max_size=2)
hours = st.integers(0, 40).map(lambda n: 1_700_000_000_000 + n * 600_000)


@st.composite
def happening(draw):
    kind = draw(st.sampled_from(["page", "identify", "lead", "purchase", "item", "alias", "track"]))
    fields = {"timestamp": draw(hours), "trusted": draw(st.sampled_from([None, None, 1, 0]))}
    fields["anonymous_id"] = draw(st.none() | visitors)
    if draw(st.booleans()) or kind == "alias":
        fields["user_id"] = draw(ids)
    if kind == "identify":
        given_ = draw(traits) | ({"email": draw(addresses)} if draw(st.booleans()) else {})
        fields["traits"] = json.dumps(given_) if given_ else None
    if kind == "lead":
        kind, fields["event"] = "track", "Lead Captured"
        fields["properties"] = json.dumps({"email": draw(addresses.filter(lambda a: "@" in a))})
    if kind == "purchase":
        kind, fields["event"] = "track", "Order Completed"
        bought = {"total": draw(st.sampled_from([1.1, "2.20", None]))}
        if draw(st.booleans()):
            bought["order_id"] = draw(st.sampled_from(["o1", "o2"]))
        fields["properties"] = json.dumps(bought)
    if kind == "item":
        kind, fields["event"] = "track", "Order Item"
        item = {"order_id": draw(st.sampled_from(["o1", "o2"])), "price": draw(st.integers(1, 3))}
        fields["properties"] = json.dumps(item)
    if kind == "alias":
        fields["previous_id"] = draw(ids | visitors)
    return fields | {"type": kind}


@st.composite
def history(draw):
    """Events, the same ones in another order with repetitions, and cuts of both into batches."""
    events = [
        make_event(f"m{i}", **fields)
        for i, fields in enumerate(draw(st.lists(happening(), min_size=1, max_size=14)))
    ]
    again = draw(st.permutations(events + draw(st.lists(st.sampled_from(events), max_size=5))))
    return draw(cuts(events)), draw(cuts(again))


def cuts(events):
    places = st.sets(st.integers(1, len(events)))
    return places.map(lambda at: _cut(events, sorted(at | {len(events)})))


def _cut(events, places):
    return [events[a:b] for a, b in zip([0, *places], places, strict=False)]


@settings(max_examples=60)
@given(history())
def test_any_order_gives_the_same_people_and_purchases(both):
    with tempfile.TemporaryDirectory() as folder:
        first, second = [
            asyncio.run(told(Path(folder) / str(i), batches)) for i, batches in enumerate(both)
        ]
    assert first == second
