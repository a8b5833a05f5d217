"""Whose clock counts."""

import json

import pytest

from collector.config import Limits
from collector.wire import build, decode

RECEIVED = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR = 3_600_000


def iso(ms):
    seconds, rest = divmod(ms, 1000)
    return build.datetime.fromtimestamp(seconds, build.UTC).strftime(
        f"%Y-%m-%dT%H:%M:%S.{rest:03}Z"
    )


def times(timestamp=None, sent_at=None, historical=False, limits=None, item_sent_at=None):
    item = {"type": "track", "event": "E"}
    if timestamp is not None:
        item["timestamp"] = timestamp if isinstance(timestamp, str) else iso(timestamp)
    if item_sent_at is not None:
        item["sentAt"] = iso(item_sent_at)
    body = {"batch": [item]} | ({} if sent_at is None else {"sentAt": iso(sent_at)})
    call = decode.batch(json.dumps(body).encode(), limits or Limits())
    call.historical = historical
    arrival = build.Arrival("s", RECEIVED, None, None, False, limits or Limits(), lambda ip: None)
    (event,) = build.events(call, arrival)
    assert event.received_at == RECEIVED
    return event.timestamp, event.sent_at, event.original_timestamp


def test_without_a_timestamp_it_is_the_arrival():
    assert times() == (RECEIVED, None, None)
    assert times(sent_at=RECEIVED - HOUR) == (RECEIVED, RECEIVED - HOUR, None)


def test_without_sent_at_it_is_as_given():
    assert times(RECEIVED - HOUR) == (RECEIVED - HOUR, None, RECEIVED - HOUR)


def test_a_clock_that_is_right_is_not_corrected():
    """The formula alone would move events by the time on the wire."""
    for skew in (-60_000, -15_000, 0, 32_000, 60_000):
        given, sent = RECEIVED - HOUR, RECEIVED - skew

        assert times(given, sent) == (given, sent, given)


@pytest.mark.parametrize("skew", [60_001, HOUR, 30 * 24 * HOUR, -60_001, -HOUR])
def test_a_clock_that_is_off_is_corrected_by_its_skew(skew):
    sent = RECEIVED - skew
    given = sent - 5000

    assert times(given, sent) == (RECEIVED - 5000, sent, given)


def test_the_threshold_is_a_setting():
    limits = Limits(clock_skew_s=0)

    assert times(RECEIVED - 10_000, RECEIVED - 4000, limits=limits)[0] == RECEIVED - 6000


def test_no_event_lies_in_the_future():
    assert times(RECEIVED + HOUR)[0] == RECEIVED
    assert times(RECEIVED + 30_000, RECEIVED - 30_000)[0] == RECEIVED
    assert times(RECEIVED + 3 * HOUR, RECEIVED + HOUR)[0] == RECEIVED


def test_an_import_is_left_as_it_is():
    long_ago = 1_000_000_000_000

    assert times(long_ago, RECEIVED - HOUR, historical=True)[0] == long_ago
    assert times(RECEIVED + HOUR, historical=True)[0] == RECEIVED + HOUR


def test_an_events_own_sent_at_comes_before_the_batchs():
    event = times(RECEIVED - 2 * HOUR - 5000, RECEIVED, item_sent_at=RECEIVED - 2 * HOUR)

    assert event[:2] == (RECEIVED - 5000, RECEIVED - 2 * HOUR)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2025-12-31T23:00:00Z", RECEIVED - HOUR),
        ("2025-12-31T23:00:00", RECEIVED - HOUR),
        ("2026-01-01T00:00:00+01:00", RECEIVED - HOUR),
        ("2025-12-31T23:00:00.123456789Z", RECEIVED - HOUR + 123),
        ("2025-12-31 23:00:00.5+00:00", RECEIVED - HOUR + 500),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),
    ],
)
def test_a_time_without_zone_is_utc(text, ms):
    assert times(text)[0] == ms
