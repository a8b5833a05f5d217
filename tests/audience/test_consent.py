"""Who may be delivered: never who refused; who was never asked, as the destination says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audience.consent import Policy, Statement, allowed, read

OWN = Policy()
ADS = Policy(advertising=True, given=True)


def said(*statements):
    """(key, at, consent) as the index has them."""
    return [Statement(key, at, read(json.dumps(value))) for key, at, value in statements]


def test_who_was_never_asked() -> None:
    assert allowed(OWN, [])
    assert not allowed(ADS, [])
    assert allowed(Policy(advertising=True), [])


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ({"ads": True, "analytics": True}, {"ads": False, "analytics": True}),
        ({"categoryPreferences": {"Ads": True}}, {"categoryPreferences": {"Ads": False}}),
        ({"allowedConsentIds": ["c1"]}, {"allowedConsentIds": ["c1"], "deniedConsentIds": ["c2"]}),
        ({"ad_storage": "granted"}, {"ad_storage": "denied"}),
        (True, False),
    ],
)
def test_forms_in_which_people_agree_and_refuse(yes, no) -> None:
    assert allowed(ADS, said((1, 1, yes))) and allowed(OWN, said((1, 1, yes)))
    assert not allowed(ADS, said((1, 1, no))) and not allowed(OWN, said((1, 1, no)))


def test_the_newest_word_of_an_id_counts() -> None:
    assert allowed(ADS, said((1, 2, {"ads": True}), (1, 1, {"ads": False})))
    assert not allowed(ADS, said((1, 1, {"ads": True}), (1, 2, {"ads": False})))
    assert not allowed(ADS, said((1, 1, {"ads": True}), (1, 1, {"ads": False})))


def test_one_id_that_refuses_refuses_for_the_person() -> None:
    assert not allowed(OWN, said((1, 9, {"ads": True}), (2, 1, {"ads": False})))


@pytest.mark.parametrize("signal", ["gpc", "dnt"])
def test_the_privacy_signal_forbids_advertising_and_nothing_else(signal) -> None:
    statements = said((1, 1, {"ads": True}), (1, 2, {signal: True}))
    assert allowed(OWN, statements)
    assert not allowed(ADS, statements)


def test_only_the_categories_that_are_named_count() -> None:
    policy = Policy(given=True, categories=frozenset({"marketing"}))
    assert allowed(policy, said((1, 1, {"Marketing": True, "ads": False})))
    assert not allowed(policy, said((1, 1, {"ads": True})))


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.integers(1, 4),
            st.dictionaries(st.sampled_from(["ads", "gpc"]), st.booleans()),
        ),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_order_of_arrival_is_nothing(statements, random) -> None:
    shuffled = random.sample(statements, len(statements))
    for policy in (OWN, ADS):
        assert allowed(policy, said(*statements)) == allowed(policy, said(*shuffled))


@given(st.text(max_size=30) | st.binary(max_size=9).map(str))
def test_what_is_not_understood_says_nothing(text) -> None:
    read(text)
