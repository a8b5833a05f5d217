"""Only what aiohttp's parser took before is taken again, and as it took it."""

import random

import pytest
from aiohttp.http_parser import HttpRequestParser
from multidict import CIMultiDict
from yarl import URL

from collector import compiled
from collector.config import Clients
from collector.config_http import Http
from collector.ingest.heads import Expression, Heads, shape
from collector.wire.message import Client, Request
from collector.wire.table import routes

POST = b"POST /v1/track HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nUser-Agent: b\r\n\r\n{}"
ROUTE = routes(Http(), Clients())["/v1/track"]
GET = b"GET /c.gif?k=1&u=%20 HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(autouse=True, params=[True, False], ids=["compiled", "python"])
def matcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "COMPILED", request.param)


def learned(data: bytes) -> Heads:
    """A memory that was shown `data` as aiohttp's parser takes it."""
    line, *fields = data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    method, target, _ = line.split()
    headers = CIMultiDict(field.split(": ") for field in fields)
    request = Request(method, URL(target, encoded=True), headers, b"", "", Client.of(headers))
    heads = Heads()
    wanted = shape(data)
    assert wanted is not None
    heads.learn(wanted, data, ROUTE, request)
    return heads


def recalled(shown: bytes, data: bytes, peer: str = "peer") -> Request:
    head, sent = learned(shown).recall(data)
    return head.again(sent, peer)


def test_heads_that_differ_in_their_length_alone_are_the_same():
    longer = POST.replace(b"Length: 2", b"Length: 11").replace(b"{}", b'{"a":"b c"}')

    request = recalled(POST, longer)
    assert request.body == b'{"a":"b c"}'


def test_gets_that_differ_in_their_query_alone_are_the_same():
    request = recalled(GET, GET.replace(b"?k=1&u=%20", b"?k=2"))
    assert (request.url.raw_path, request.url.raw_query_string) == ("/c.gif", "k=2")


def test_a_head_without_its_query_is_the_same():
    request = recalled(GET, GET.replace(b"?k=1&u=%20", b""))
    assert request.url.raw_query_string == ""


def test_what_differs_is_the_new_request_s_own():
    data = POST.replace(b"User-Agent: b", b"User-Agent: a\r\nX-Forwarded-For: 192.0.2.1")
    request = recalled(data, data.replace(b"192.0.2.1", b"192.0.2.77"), "192.0.2.9")
    assert (request.client.forwarded, request.peer) == ("192.0.2.77", "192.0.2.9")
    assert "X-Forwarded-For" not in request.headers


def test_learning_is_rationed():
    heads = Heads()
    for number in range(200):
        data = POST.replace(b"Host: a", b"Host: h%d" % number)
        request = Request(
            "POST", URL("/v1/track"), CIMultiDict(), b"", "", Client.of(CIMultiDict())
        )
        heads.learn(shape(data), data, ROUTE, request)
    assert sum(map(len, heads.known.values())) <= 40


@pytest.mark.parametrize(
    "other",
    [
        POST.replace(b"/v1/track", b"/v1/page"),
        POST.replace(b"Host: a", b"Host: b"),
        POST.replace(b"Host: a", b"Host: a\r\nContent-Encoding: gzip"),
        POST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        POST.replace(b"Content-Length", b"content-length"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 2"),
        GET.replace(b"/c.gif", b"/pixel.gif"),
    ],
)
def test_any_other_difference_is_another_head(other):
    assert learned(POST).recall(other) is None
    assert learned(GET).recall(other) is None


@pytest.mark.parametrize(
    "data",
    [
        POST[:-1],
        POST + b"x",
        POST + POST,
        GET + GET,
        POST.replace(b"Length: 2", b"Length: +2"),
        POST.replace(b"Length: 2", b"Length: 2 "),
        POST.replace(b"Length: 2", b"Length: 0x2"),
        POST.replace(b"Length: 2", b"Length: \xb2"),
        POST.replace(b"\r\nContent-Length: 2", b"").replace(b": b", b": Content-Length: 2"),
        GET.replace(b"?k=1", b"?k=1 2"),
        GET.replace(b"?k=1", b"?k=\xe9"),
        GET.replace(b"?k=1", b"?k=1#f"),
        GET.replace(b"?k=1", b"?k=\x00"),
        GET.replace(b"/c.gif", b"http://h/c.gif"),
        GET.replace(b"GET", b"OPTIONS"),
        GET.replace(b"Host: a", b"X: " + b"a" * 5000),
        b"",
        b"\r\n\r\n",
    ],
)
def test_what_is_not_one_whole_plain_request_is_left_to_the_parser(data):
    assert shape(data) is None
    assert learned(POST).recall(data) is None
    assert learned(GET).recall(data) is None


@pytest.mark.parametrize("char", [chr(code) for code in range(0x21, 0x7F) if chr(code) != "#"])
async def test_every_character_of_a_target_that_is_cut_is_one_the_parser_takes(char):
    data = GET.replace(b"k=1", f"k={char}".encode())
    parser = HttpRequestParser(None, None, 65536)  # a GET has no body to ask them for
    ((message, _),), _, _ = parser.feed_data(data)

    found = recalled(GET, data)
    assert str(found.url) == str(message.url)
    assert found.url.raw_query_string == message.url.raw_query_string


async def test_visitors_whose_heads_are_alike_stay_apart(idle, talk):
    """Behind one proxy's connection: the second and third head are recalled, the values are not."""
    await idle.start(**{"privacy.ip": "full"})
    visitors = [
        ("203.0.113.1", "Agent A", "https://shop.example/a"),
        ("203.0.113.2", "Agent B", "https://shop.example/b"),
        ("198.51.100.3", "Agent C/3", "https://shop.example/c"),
    ]
    for method in ("GET", "POST"):
        for number, (address, agent, referer) in enumerate(visitors):
            body = b'{"event":"E","messageId":"%s%d"}' % (method.encode(), number)
            target = f"/v1/track?writeKey={idle.key}"
            if method == "GET":
                target, body = f"/c.gif?k={idle.key}&id=GET{number}", b""
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            head = (
                f"{method} {target} HTTP/1.1\r\nHost: a\r\n{length}User-Agent: {agent}\r\n"
                f"Referer: {referer}\r\nX-Forwarded-For: {address}\r\n\r\n"
            )
            (reply,) = await talk(idle.port, head.encode() + body)
            assert reply.status == 200

    stored = [(row["ip"], row["user_agent"]) for row in idle.rows()]
    assert stored == [(address, agent) for address, agent, _ in visitors] * 2
    pages = [row["url"] for row in idle.rows() if row["message_id"].startswith("GET")]
    assert pages == [referer for _, _, referer in visitors]
    assert len(idle.app._server.heads.known) == 2


def test_compiled_code_and_the_expression_say_the_same_of_everything():
    made = random.Random(5)
    shown = [
        POST,
        GET,
        GET.replace(b"?k=1&u=%20", b""),
        POST.replace(
            b"User-Agent: b",
            b"X-Forwarded-For:  192.0.2.1 \r\nCookie: a=b\r\nX-Forwarded-For: 192.0.2.2\r\n"
            b"User-Agent: b \r\nReferer: \r\nCookie: c=d\r\nCF-Ray: 5\r\nX-Request-Id: r",
        ),
        POST.replace(
            b"User-Agent: b",
            b"Cookie: \r\nX-Forwarded-For: \r\nCookie: \r\nCookie: a=b\r\n"
            b"X-Forwarded-For: 192.0.2.1",
        ),
    ]
    agreed = 0
    for data in shown:
        wanted = shape(data)
        assert wanted is not None
        ours = compiled.Head(wanted.pieces, wanted.slots)
        theirs = Expression(wanted)
        assert ours.match(data) == theirs.match(data) is not None
        for _ in range(4000):
            other = bytearray(data)
            for _ in range(made.randrange(1, 3)):
                at = made.randrange(len(other))
                other[at : at + made.randrange(2)] = made.choice(
                    [b"", b" ", b"a", b"\t", b"\xe9", b"?", b"#", b"\r\n", b"3", b"{}"]
                )
            found = ours.match(bytes(other))
            assert found == theirs.match(bytes(other)), bytes(other)
            agreed += found is not None
    assert agreed > 1000


@pytest.mark.parametrize(
    ("pieces", "slots"),
    [((), ()), ((b"a",), (1,)), (("a",), ()), ((b"a", b"b"), (8,)), ((b"a", b"b"), (-1,))],
)
def test_a_shape_that_is_none_is_an_error(pieces, slots):
    with pytest.raises(ValueError, match=r"expected pieces|no such slot"):
        compiled.Head(pieces, slots)


def test_several_lines_of_a_header_are_one_list_as_the_parser_has_it():
    data = POST.replace(b"User-Agent: b", b"X-Forwarded-For: \r\nX-Forwarded-For: 192.0.2.1")
    for _ in range(2):
        data = data.replace(b"Content", b"Cookie: \r\nContent")
    request = recalled(data, data)
    assert (request.client.forwarded, request.client.cookies) == (",192.0.2.1", "; ")
    _, *fields = data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert request.client == Client.of(CIMultiDict(field.split(": ") for field in fields))


def test_no_head_is_recalled_that_aiohttp_would_find_too_long():
    for shown, old, new in (
        (GET, b"k=1", b"k=" + b"1" * 4096),
        (POST, b": b", b": " + b"b" * 4096),
    ):
        assert learned(shown).recall(shown.replace(old, new)) is None


async def test_a_gif_s_page_may_stand_in_a_header_of_any_spelling(idle, talk):
    await idle.start()
    for number in range(2):
        head = (
            f"GET /c.gif?k={idle.key}&id=m{number} HTTP/1.1\r\nHost: a\r\n"
            "REFERER: https://shop.example/p\r\n\r\n"
        )
        await talk(idle.port, head.encode())
    assert [row["url"] for row in idle.rows()] == ["https://shop.example/p"] * 2
