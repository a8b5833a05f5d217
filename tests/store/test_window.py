"""The window against a plain dict."""

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from collector import compiled
from collector.event import identity
from collector.store import window
from collector.store.window import Window

CAPACITY = 1000


class WindowMachine(RuleBasedStateMachine):
    """Events of few different ids come and go back; whatever the dict remembers inside the
    window, the window finds."""

    keys = Bundle("keys")
    built: bool

    @initialize(start=st.sampled_from([1, 2**32 - 500, 2**40]))
    def begin(self, start):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(compiled, "COMPILED", self.built)
            self.window = Window(CAPACITY, seed=7)
        self.model: dict[int, list[int]] = {}
        self.next = start

    @rule(target=keys, number=st.integers(0, 400))
    def some_id(self, number):
        return self.window.hash(identity("shop", f"id-{number}"))

    @rule(batch=st.lists(keys, min_size=1, max_size=40))
    def add(self, batch):
        self.window.add(batch, self.next)
        for key in batch:
            self.model.setdefault(key, []).append(self.next)
            self.next += 1

    @rule(batch=st.lists(keys, min_size=1, max_size=40))
    def add_and_take_back(self, batch):
        self.window.add(batch, self.next)
        self.window.remove(batch, self.next)

    @rule(batch=st.lists(keys, min_size=1, max_size=5))
    def add_unless_seen(self, batch):
        newest = self.next - 1
        seen = self.window.candidates(batch, newest) or len(set(batch)) < len(batch)
        assert self.window.add_unseen(batch, self.next) is not bool(seen)
        if not seen:
            for key in batch:
                self.model.setdefault(key, []).append(self.next)
                self.next += 1

    @rule(count=st.integers(1, 900))
    def others_come(self, count):
        self.window.add(
            [self.window.hash(identity("noise", f"{self.next + i}")) for i in range(count)],
            self.next,
        )
        self.next += count

    @invariant()
    def nothing_inside_the_window_is_missed(self):
        if not hasattr(self, "window"):
            return
        newest = self.next - 1
        for key, seqs in self.model.items():
            expected = {seq for seq in seqs if newest - seq < CAPACITY}
            assert expected <= set(self.window.candidates([key], newest))


class InPython(WindowMachine):
    built = False


class Compiled(WindowMachine):
    built = True


TestInPython, TestCompiled = InPython.TestCase, Compiled.TestCase
TestInPython.settings = TestCompiled.settings = settings(max_examples=40, stateful_step_count=40)


@pytest.fixture(params=[True, False], ids=["compiled", "python"])
def table(request, monkeypatch):
    assert compiled.COMPILED
    monkeypatch.setattr(compiled, "COMPILED", request.param)


of_both = pytest.mark.usefixtures("table")


@of_both
def test_a_batch_that_was_rolled_back_pushes_nothing_out():
    window = Window(CAPACITY, seed=1)
    key, other = window.hash(identity("s", "a")), window.hash(identity("s", "b"))
    window.add([key], 1)
    window.add([other] * 960, 2)
    window.add([key] * 38, 962)

    window.add([key] * 10, 1000)
    window.remove([key] * 10, 1000)

    assert 1 in window.candidates([key], 999)


@pytest.mark.parametrize("start", [1, 2**32 - 60, 2**32 * 3 - 60])
@of_both
def test_many_of_one_bucket_are_all_found(start):
    window = Window(CAPACITY, seed=1)
    key = window.hash(identity("s", "a"))
    window.add([key] * 100, start)
    for seq in range(start + 100, start + 200):
        window.add([key], seq)

    assert set(window.candidates([key], start + 199)) >= set(range(start, start + 200))


@given(st.text(), st.text(), st.text(), st.text())
def test_site_and_id_are_hashed_apart(site, other_site, message_id, other_id):
    window = Window(CAPACITY, seed=1)
    pair, other = (site, message_id), (other_site, other_id)
    if any("\0" in text for text in (*pair, *other)) or not all(map(sound, (*pair, *other))):
        return

    assert (window.hash(identity(*pair)) == window.hash(identity(*other))) == (pair == other)


def sound(text):
    return text.encode(errors="replace").decode() == text


def test_the_seed_changes_every_hash():
    assert Window(CAPACITY, 1).hash(b"m") != Window(CAPACITY, 2).hash(b"m")


def test_ids_chosen_against_another_seed_spread_like_any_others():
    known, own = Window(4_000_000, seed=1), Window(4_000_000, seed=2)
    chosen = [i for i in map(str, range(300_000)) if known.hash(identity("s", i)) & 0xFF == 0]
    assert len(chosen) > 1000
    taken = {own.hash(identity("s", i)) & 0xFF for i in chosen}
    assert len(taken) > 200


@of_both
def test_an_entry_leaves_when_its_event_is_older_than_the_window():
    window = Window(CAPACITY, seed=1)
    window.add([window.hash(identity("s", "first"))], 1)
    for number in range(2, 40 * CAPACITY):
        window.add([window.hash(identity("s", str(number)))], number)

    assert 1 not in window.candidates([window.hash(identity("s", "first"))], 40 * CAPACITY)
    assert sys.getsizeof(window.table) < CAPACITY * 2 * 16


@pytest.mark.slow
@of_both
def test_four_million_ids_take_at_most_64_mb():
    window = Window(4_000_000, seed=1)
    numbers = random.Random(1)
    seq = 1
    for _ in range(100):
        keys = [numbers.getrandbits(64) for _ in range(50_000)]
        window.add(keys, seq)
        seq += len(keys)

    assert sys.getsizeof(window.table) <= 64_000_000
    assert set(window.candidates(keys, seq - 1)) >= set(range(seq - len(keys), seq))


def test_the_two_tables_say_the_same_of_everything():
    ours, theirs = (made(CAPACITY, 5, 38) for made in (compiled.Table, window.Table))
    numbers, seq = random.Random(3), 2**32 - 20_000
    hashes = [numbers.getrandbits(32) for _ in range(500)]
    for _ in range(4000):
        keys = [numbers.choice(hashes) << 32 | numbers.getrandbits(5) for _ in range(8)]
        act = numbers.choice(["add", "add_unseen", "take back", "look"])
        if act == "add_unseen":
            added = ours.add_unseen(keys, seq)
            assert added == theirs.add_unseen(keys, seq)
            seq += len(keys) if added else 0
        elif act != "look":
            for one in (ours, theirs):
                one.add(keys, seq)
                if act == "take back":
                    one.remove(keys, seq)
            seq += len(keys) if act == "add" else 0
        assert ours.candidates(keys, seq - 1) == theirs.candidates(keys, seq - 1)


@pytest.mark.parametrize("wrong", [(), ([1],), ([-1], 1), ([2**64], 1), (["1"], 1), ([1], -1)])
def test_what_is_no_key_is_an_error(wrong):
    with pytest.raises((TypeError, OverflowError)):
        compiled.Table(CAPACITY, 5, 38).add(*wrong)
