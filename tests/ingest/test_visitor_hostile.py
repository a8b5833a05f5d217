"""Whatever stands in Cookie, Origin, Host and the ids: no error, and no header but our own."""

import re

import yarl
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from collector.config_privacy import Privacy
from collector.ingest.sites import Site
from collector.ingest.visitor import Visitors
from collector.wire.message import Call, Client, Item, Request

VISITORS = Visitors(Privacy(), "https://collect.shop.example", b"k" * 32)
OTHERS = Visitors(Privacy(), "https://collect.shop.example", b"o" * 32)
SITE = Site("shop", (), frozenset())
LINE = re.compile(
    r"_px_vid=([A-Za-z0-9_.~:-]{1,100}\.\d{5}\.[\w-]{20})?; Max-Age=(0|31536000); Path=/; "
    r"HttpOnly; SameSite=Lax; Secure(; Domain=[a-z0-9._-]+)?"
)


def signed(visitors, id_):
    """The cookie that `visitors` would set."""
    greeting = visitors.meet(call([id_]), request(), SITE)
    return greeting.cookie.partition(";")[0]


def call(ids, fresh=False, reset=False):
    items = [Item(type="page", anonymous_id=id_) for id_ in ids]
    return Call("k", items, [], cookie=True, fresh=fresh, reset=reset)


def request(cookies="", origin=None, host="collect.shop.example"):
    headers = CIMultiDict({"Host": host, "Cookie": cookies})
    if origin is not None:
        headers["Origin"] = origin
    client = Client.of(headers)
    return Request("POST", yarl.URL("/c"), headers, b"", "127.0.0.1", client)


OURS, THEIRS = signed(VISITORS, "visitor-1"), signed(OTHERS, "attacker")
PARTS = (OURS, THEIRS, OURS[:-1], OURS.upper(), f"{OURS}.", "_px_vid=", "_px_vid", "a=b", "=")
JUNK = ("visitor-1", "_px_vid=visitor-1.99999.x", '_px_vid="x"', *"\udcffé\x7f.٣²")
COOKIES = st.lists(st.sampled_from(PARTS + JUNK) | st.text(max_size=10), max_size=6).map("; ".join)
NAMES = ("collect.shop.example", "shop.example", "a" * 300, "co.uk", "xn--a.example", "é.example")
ADDRESSES = ("[::1]:80", "[::1", "127.0.0.1:80", "", "..", "a;Domain=b.example", "a b", "a:b:c")
HOSTS = st.sampled_from((*NAMES, *ADDRESSES, *".@:\udcff"))
ORIGINS = st.none() | HOSTS.map("https://".__add__) | st.text(max_size=20) | st.just("null")
IDS = st.lists(
    st.none() | st.integers() | st.text(max_size=12) | st.just("visitor-1") | st.just("new-1"),
    max_size=4,
)


@given(COOKIES, IDS, ORIGINS, HOSTS, st.booleans(), st.booleans())
@example(f"{OURS}; {THEIRS}", ["new-1"], None, "collect.shop.example", True, False)
def test_no_error_and_no_header_but_our_own(cookies, ids, origin, host, fresh, reset):
    asked = call(ids, fresh, reset)
    greeting = VISITORS.meet(asked, request(cookies, origin, host), SITE)
    if greeting is not None and greeting.cookie is not None:
        assert LINE.fullmatch(greeting.cookie)
    named = {str(item.anonymous_id) for item in asked.items} - {str(id_) for id_ in ids}
    assert named <= ({"visitor-1"} if fresh and not reset and OURS in cookies else set())
    told = greeting.told if greeting else None
    assert told in (None, "visitor-1")


@given(st.text(max_size=60), st.binary(min_size=15, max_size=15))
def test_no_value_passes_for_signed_that_was_not(id_, mac):
    forged = f"_px_vid={id_}.20000.{mac.hex()[:20]}"
    asked = call(["new-1"], fresh=True)
    VISITORS.meet(asked, request(forged), SITE)
    assert asked.items[0].anonymous_id == "new-1"


def test_a_hundred_cookies_of_the_name_are_as_good_as_none():
    many = "; ".join(signed(VISITORS, f"visitor-{n}") for n in range(100))
    asked = call(["new-1"], fresh=True)
    assert VISITORS.meet(asked, request(many), SITE).cookie.startswith("_px_vid=new-1.")
    assert asked.items[0].anonymous_id == "new-1"
