"""Who is behind a proxy, and how much of the address is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.wire.address import Addresses

DEFAULT = ("127.0.0.0/8", "::1")


def client(peer, forwarded, trusted=DEFAULT):
    return Addresses(trusted, "full").place(peer, forwarded)[0]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("::1", "203.0.113.7", "203.0.113.7"),
        ("::ffff:127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "203.0.113.7, 127.0.0.2", "203.0.113.7"),
        ("127.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("127.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("127.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "1.1.1.1, nonsense", "127.0.0.1"),
        ("127.0.0.1", ",,,", "127.0.0.1"),
        ("127.0.0.1", "1.2.3.4.5", "127.0.0.1"),
        ("198.51.100.1", "203.0.113.7", "198.51.100.1"),
        ("2001:db8::1", "203.0.113.7", "2001:db8::1"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxy(peer, forwarded, expected):
    assert client(peer, forwarded) == expected


def test_a_chain_of_trusted_proxies_is_followed():
    trusted = ("10.0.0.0/8", "192.168.1.1", "2001:db8::/32")

    assert client("10.0.0.9", "6.6.6.6, 203.0.113.7, 2001:db8::5, 192.168.1.1", trusted) == (
        "203.0.113.7"
    )
    assert client("192.168.1.2", "203.0.113.7", trusted) == "192.168.1.2"


def test_where_all_are_proxies_it_is_the_first():
    assert client("127.0.0.1", "127.0.0.5, 127.0.0.6") == "127.0.0.5"


@pytest.mark.parametrize(
    ("address", "truncated"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:aaaa:bbbb::1", "2001:db8:aaaa::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("nonsense", None),
        ("", None),
        ("203.0.113.77/24", None),
    ],
)
def test_truncated_keeps_24_bits_or_48(address, truncated):
    assert Addresses(DEFAULT, "truncated").masked(address) == truncated


def test_full_keeps_all_and_none_keeps_nothing():
    assert Addresses(DEFAULT, "full").masked("2001:DB8::0001") == "2001:db8::1"
    assert Addresses(DEFAULT, "none").masked("203.0.113.77") is None


@given(st.text(max_size=80), st.text(max_size=40))
def test_no_text_at_all_breaks_it(forwarded, address):
    addresses = Addresses(DEFAULT, "truncated")

    assert addresses.place("127.0.0.1", forwarded)
    assert addresses.masked(address) is None or "." in address or ":" in address


def test_long_texts_of_strangers_are_not_remembered():
    """16,384 headers of 16 KB would be 268 MB."""
    addresses = Addresses(DEFAULT, "truncated")
    for number in range(1000):
        addresses.place("127.0.0.1", f"{number}, " + "x" * 10_000)
        addresses.masked("x" * 10_000 + str(number))

    assert addresses._known_place.cache_info().currsize == 0
    assert addresses._known_masked.cache_info().currsize == 0
