"""Lines of access logs: which are page views and pixel hits, whose, and which are not."""

import json

import pytest

from collector.config import Limits
from collector.errors import Refused
from collector.wire.access_log import Reader

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
TIME = "24/Nov/2026:22:08:01 +0100"
CADDY = {
    "ts": 1795554481.5,
    "request": {
        "remote_ip": "10.0.0.1",
        "client_ip": "203.0.113.7",
        "method": "GET",
        "host": "shop.example",
        "uri": "/pricing?a=1",
        "headers": {"User-Agent": [AGENT], "Referer": ["https://search.example/"]},
        "tls": {"version": 772},
    },
    "status": 200,
    "resp_headers": {"Content-Type": ["text/html; charset=utf-8"]},
}


def reader(form="nginx", origin="https://shop.example", **more):
    gifs = frozenset({"/c.gif"})
    return Reader(form, frozenset({"wk_shop"}), gifs, origin, b"salt", Limits(), **more)


def line(target="/pricing", method="GET", status=200, referrer="-", agent=AGENT):
    request = f"{method} {target} HTTP/1.1"
    return f'203.0.113.7 - ada [{TIME}] "{request}" {status} 512 "{referrer}" "{agent}"'.encode()


def properties(item):
    return json.loads(bytes(item.properties))


def test_a_page_view_has_its_address_time_and_visitor():
    item = reader().call(line("/pricing?a=1", referrer="https://search.example/"), 0)
    assert (item.type, item.timestamp.isoformat()) == ("page", "2026-11-24T22:08:01+01:00")
    assert properties(item) == {
        "path": "/pricing",
        "url": "https://shop.example/pricing?a=1",
        "referrer": "https://search.example/",
    }
    assert json.loads(bytes(item.context)) == {"ip": "203.0.113.7", "userAgent": AGENT}


def test_caddys_lines_say_the_same():
    item = reader("caddy", None).call(json.dumps(CADDY).encode(), 0)
    assert item.timestamp.isoformat() == "2026-11-24T21:08:01.500000+00:00"
    assert properties(item) == {
        "path": "/pricing",
        "url": "https://shop.example/pricing?a=1",
        "referrer": "https://search.example/",
    }
    assert json.loads(bytes(item.context)) == {"ip": "203.0.113.7", "userAgent": AGENT}


def test_apaches_virtual_host_is_where_the_page_is():
    item = reader(origin=None).call(b"other.example:443 " + line(), 0)
    assert properties(item)["url"] == "https://other.example/pricing"


def test_common_lines_without_an_agent_are_read():
    item = reader().call(f'203.0.113.7 - - [{TIME}] "GET / HTTP/1.0" 200 5'.encode(), 0)
    assert properties(item) == {"path": "/", "url": "https://shop.example/"}


def test_a_hit_of_the_gif_is_the_event_that_its_query_tells():
    item = reader().call(line("/c.gif?k=wk_shop&e=Opened&id=m1&uid=u1&p.mail=a%20b"), 0)
    assert (item.type, item.event, item.message_id, item.user_id) == ("track", "Opened", "m1", "u1")
    assert item.anonymous_id is None
    assert properties(item) == {"mail": "a b"}


@pytest.mark.parametrize(
    "other",
    [
        line("/logo.png"),
        line("/app.js?v=2"),
        line(status=404),
        line(status=301),
        line(method="POST"),
        line(method="HEAD"),
    ],
)
def test_what_is_no_page_and_no_pixel_is_nobodys_event(other):
    assert reader().call(other, 0) is None


def test_pages_to_be_left_out_are_named_by_globs():
    chosen = reader(skip=("/api/*", "/health"))
    assert chosen.call(line("/api/x?y=1"), 0) is None
    assert chosen.call(line("/health"), 0) is None
    assert chosen.call(line("/healthy"), 0) is not None


@pytest.mark.parametrize("path", ["/", "/a.b/c", "/v1.2/", "/index.html", "/shop.php?x=1.png"])
def test_pages_are_told_from_files_by_the_ending(path):
    assert reader().call(line(path), 0) is not None


def test_caddys_content_type_tells_what_is_a_page():
    image = CADDY | {"resp_headers": {"Content-Type": ["image/png"]}}
    assert reader("caddy").call(json.dumps(image).encode(), 0) is None


def test_a_line_read_again_is_the_same_event_and_two_alike_are_two():
    first, again, second = (reader().call(line(), place).message_id for place in (0, 0, 200))
    assert first == again != second


def test_a_visitor_is_known_for_one_day_and_one_import():
    def visitor(text, salt=b"salt"):
        log = reader()
        log._salt = salt
        return log.call(text, 0).anonymous_id

    assert visitor(line("/a")) == visitor(line("/b"))
    assert visitor(line()) != visitor(line(agent="Other"))
    assert visitor(line()) != visitor(line().replace(b"24/Nov", b"25/Nov"))
    assert visitor(line()) != visitor(line(), b"other")


def test_bytes_that_servers_escape_are_the_bytes():
    item = reader().call(line(referrer="https://x/\\xc3\\xa9\\x22", agent='a \\"b\\" \\\\c'), 0)
    assert properties(item)["referrer"] == 'https://x/é"'
    assert json.loads(bytes(item.context))["userAgent"] == 'a "b" \\c'


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"", "format `combined`"),
        (b"\xff\x00\x01 nonsense", "format `combined`"),
        (line().replace(b"Nov", b"Foo"), "no time"),
        (line().replace(b"24/Nov", b"99/Nov"), "no time"),
        (line("/c.gif?k=wk_other"), "write key"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(bad, why):
    with pytest.raises(Refused, match=why):
        reader().call(bad, 0)


@pytest.mark.parametrize(
    "bad",
    [b"{", b"[]", b'{"ts": "x", "request": {}, "status": 1}', b'{"ts": 1e300}', b"[" * 100_000],
)
def test_broken_lines_of_caddy_are_refused(bad):
    with pytest.raises(Refused):
        reader("caddy").call(bad, 0)


def test_hostile_lines_harm_nobody():
    for hostile in (
        line("/\\x00\\xff\\xfe"),
        line(agent="\\x00"),
        line('/"' + "\\\\" * 5000),
        b"1 - - [" + b'"' * 50_000,
        b"a " * 50_000,
    ):
        try:
            item = reader().call(hostile, 0)
        except Refused:
            continue
        if item is not None:
            said = bytes(item.properties) + bytes(item.context)
            assert b"\\u0000" not in said
            said.decode()
