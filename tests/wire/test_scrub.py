"""What is taken out of addresses, and what is left."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config_privacy import Privacy
from collector.wire.scrub import Scrubber

SCRUBBER = Scrubber(Privacy())


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://a.example/?token=s3&x=1", "https://a.example/?token=redacted&x=1"),
        ("https://a.example/#access_token=s3", "https://a.example/#access_token=redacted"),
        (
            "https://a.example/?x=1&Reset-Token=s3#top",
            "https://a.example/?x=1&Reset-Token=redacted#top",
        ),
        ("/account?sid=s3", "/account?sid=redacted"),
        ("?email=s3", "?email=redacted"),
        ("/reset/ada@mail.example", "/reset/redacted"),
        ("/reset/ada%40mail.example/x", "/reset/redacted/x"),
        ("/unsubscribe?u=ada.l+x@mail.example&b=2", "/unsubscribe?u=redacted&b=2"),
        ("mailto:ada@mail.example", "mailto:redacted"),
        ("https://ada:s3@a.example/x", "https://a.example/x"),
        ("/sso/eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "/sso/redacted"),
        (
            "https://a.example/?to=https%3A%2F%2Fb.example%3Fq%3D1%26token%3Ds3%26r%3D2&k=v",
            "https://a.example/?to=https%3A%2F%2Fb.example%3Fq%3D1%26token%3Dredacted%26r%3D2&k=v",
        ),
        ("https://a.example/?token=", "https://a.example/?token=redacted"),
    ],
)
def test_secrets_and_mail_addresses_are_taken_out(address, kept):
    assert SCRUBBER.address(address) == kept
    assert json.loads(SCRUBBER.text(json.dumps({"url": address}))) == {"url": kept}


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example/p/2?utm_source=mail&utm_medium=email&gclid=a-b_c",
        "https://maps.example/@48.1,11.5,15z",
        "https://medium.example/@ada/post",
        "/search?q=token",
        "/tokens/list?page_token_count=3",
        "/price?p=a=b",
    ],
)
def test_other_addresses_stay_as_they_are(address):
    text = json.dumps({"page": {"url": address, "referrer": address}})
    assert SCRUBBER.text(text) is text


def test_what_is_no_address_is_not_touched():
    text = json.dumps({"email": "ada@mail.example", "note": "write to ada@mail.example?token=1"})
    assert SCRUBBER.text(text) is text


@pytest.mark.parametrize(
    "value",
    [
        {"page": {"url": "/a?token=s3"}},
        {"page": {"search": "?token=s3"}},
        {"list": [{"href": "https://a.example/?token=s3"}]},
        {"referrer": "https://a.example/?token=s3"},
        {"anything": "https://a.example/?token=s3"},
    ],
)
def test_addresses_are_found_wherever_they_are(value):
    assert "s3" not in SCRUBBER.text(json.dumps(value))


@pytest.mark.parametrize(
    "text",
    [
        r'{"url":"/x?token\u003ds3"}',
        r'{"url":"/x\u003ftoken=s3"}',
        r'{"url":"/x\u003Ftoken\u003Ds3"}',
        r'{"url":"https:\/\/a.example\/?token=s3"}',
        r'{"url":"/x?\u0074oken=s3"}',
        r'{"u\u0072l":"x s3\u0040mail.example"}',
    ],
)
def test_escapes_hide_nothing(text):
    assert SCRUBBER.suspects(text.encode())
    assert "s3" not in SCRUBBER.text(text)


def test_a_name_met_as_harmless_hides_no_other():
    for _ in range(2):
        assert "s3" not in SCRUBBER.text('{"url":"/x?a=1&token=s3"}')
        assert SCRUBBER.text('{"url":"/x?a=1&b=2"}') == '{"url":"/x?a=1&b=2"}'


def test_names_and_patterns_are_the_settings():
    own = Scrubber(Privacy(scrub_parameters=("kunde*",), scrub_patterns=(r"\d{6}",)))
    assert own.address("/x?kundennummer=5&token=6") == "/x?kundennummer=redacted&token=6"
    assert own.suspects(b'{"url":"/order/123456"}')
    assert own.text('{"url":"/order/123456"}') == '{"url":"/order/redacted"}'


def test_without_names_and_patterns_nothing_is_looked_at():
    off = Scrubber(Privacy(scrub_parameters=(), scrub_patterns=()))
    text = '{"url":"/x?token=s3&mail=ada@mail.example"}'
    assert not off.suspects(text.encode())
    assert off.text(text) is text


WORDS = ("https://", "a.example", "token", "email", "ada", "eyJhbGciOiJI.eyJzdWIiOiIx")
CODES = ("%3F", "%3f", "%26", "%23", "%3D", "%3d", "%40")
PARTS = (*WORDS, *CODES, *'/?&#=xä@.;: "\\')
ADDRESSES = st.lists(st.sampled_from(PARTS), max_size=25).map("".join)


@given(ADDRESSES)
def test_the_quick_look_overlooks_nothing(address):
    text = json.dumps({"url": address})
    assert json.loads(SCRUBBER.text(text))["url"] == SCRUBBER.address(address)
    assert SCRUBBER.suspects(text.encode()) or SCRUBBER.address(address) == address


@given(ADDRESSES)
def test_what_was_scrubbed_holds_no_mail_address_or_token(address):
    kept = SCRUBBER.address(address)
    assert not re.search(r"\w@[a-z]+\.[a-z]", kept)
    for value in re.findall(r"[?&#]token=([^&#\s]*)", kept):
        assert value == "" or value.startswith(("redacted", "%26"))


@pytest.mark.parametrize(
    "piece", ["a", "%40", "a@", "?a", "eyJ", "&[[[", "&token=%26", "://", "a."]
)
def test_hostile_addresses_take_time_by_their_length_alone(piece):
    """Nothing quadratic: a regular expression that backtracks would run for minutes."""
    text = piece * (2_000_000 // len(piece))
    assert len(SCRUBBER.address(text)) <= len(text) + 2_000_000
