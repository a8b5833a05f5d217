"""What is fuzzed: each target takes any bytes, and raises where a promise is broken."""

import gzip
import json
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import brotli
import msgspec
import yarl
from multidict import CIMultiDict

from collector.errors import Refused
from collector.importing import Parser
from collector.ingest import respond
from collector.wire import build, decode, edge, junk
from collector.wire.access_log import Reader
from collector.wire.address import Addresses
from collector.wire.message import Answer, Call, Client, Request
from collector.wire.privacy import Rules
from collector.wire.scrub import Scrubber
from tests.faults.fuzz import seeds
from tests.faults.fuzz.lane import Lanes
from tests.faults.fuzz.world import NOW_MS, World

try:
    from compression import zstd
except ImportError:
    from backports import zstd

_NOT_IN_A_QUERY = bytes({*range(0x21), 0x23, *range(0x7F, 0x100)})  # the parser refuses them
_REFUSED = {400, 401, 408, 413, 415, 429}
_DEPTH = 32


@cache
def world() -> World:
    return World()


@cache
def _paths() -> list[str]:
    return sorted(world().service.routes)


def service(data: bytes) -> None:
    """Path, query, headers and body of any protocol: one answer, never a 5xx; what was taken is
    in the log as it was built; no line break gets into a header. What compiled code takes, Python
    takes for the same."""
    here = world()
    here.writer.later = None
    path, request = _request(data)
    answers: list[Answer] = []
    here.writer.kept.clear()
    declined = here.service.metrics.declined_events
    here.service.submit(here.service.routes[path], request, answers.append)
    quick, here.service._decoder = here.service._decoder, None
    kept, answered = list(here.writer.kept), list(answers)
    here.writer.kept.clear()
    answers.clear()
    here.service.submit(here.service.routes[path], request, answers.append)
    here.service._decoder = quick
    assert (here.writer.kept, answers) == (kept, answered), (here.writer.kept, kept)
    (answer,) = answers
    assert answer.status in _REFUSED | {200, 202, 302}, answer
    if answer.status == 200 and request.method == "POST" and not here.writer.kept:
        assert here.service.metrics.declined_events > declined or _is_empty(path, request), data
    for name, value in (*answer.headers, *respond.cors(request.client.origin)):
        assert not set("\r\n\0") & set(name + value), answer
    respond.raw(answer, request.client.origin)
    here.alarm.check()


def _is_empty(path: str, request: Request) -> bool:
    route = world().service.routes[path]
    call = route.protocol.parse(request, route.kind, world().config.limits)
    return not (call.items or call.refused or call.forwarded)


def _request(data: bytes) -> tuple[str, Request]:
    """One byte: which path; up to a line break: the query; lines: headers; an empty line; body."""
    head, _, body = data[1:].partition(b"\n\n")
    query, *lines = head.split(b"\n")
    path = _paths()[data[0] % len(_paths())] if data else "/c"
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, _, value = line.partition(b":")
        text = value.replace(b"\r", b"").replace(b"\0", b"").strip()
        headers.add(name.decode("latin-1"), text.decode("utf-8", "surrogateescape"))
    text = query.translate(None, _NOT_IN_A_QUERY).decode()
    method = world().service.routes[path].method
    url = yarl.URL.build(path=path, query_string=text, encoded=True)
    return path, Request(method, url, headers, body, "127.0.0.1", Client.of(headers))


@cache
def _lanes() -> Lanes:
    return Lanes(World(), seeds.LANE)


def lane(data: bytes) -> None:
    """The same bytes to the hot lane and to the normal way, whole and in pieces."""
    _lanes().compare(data)


def inflate(data: bytes) -> None:
    """A compressed body, sound or damaged: an answer, never a 5xx, nothing over the limit."""
    if len(data) < 4:
        return
    names = (b"gzip", b"deflate", b"br", b"zstd")
    named, packed, harm, at = names[data[0] % 4], data[1], data[2], data[3]
    body = data[4:]
    if packed % 3:
        body = bytearray(_PACK[named](body))
        if packed % 3 == 2:
            body[at * len(body) // 256] ^= harm or 1
    head = b"POST /v1/batch?writeKey=wk_shop_f HTTP/1.1\r\nHost: x\r\nContent-Encoding: " + named
    if packed & 0x40:
        framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        request = head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + framed
    else:
        request = head + b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    lanes = _lanes()
    lanes.run(lanes._hot, [[request]])


_PACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": lambda raw: gzip.compress(raw, 1, mtime=0),
    b"deflate": lambda raw: zlib.compress(raw, 1),
    b"br": lambda raw: bytes(brotli.compress(raw, quality=1)),
    b"zstd": lambda raw: zstd.compress(raw, 1),
}


def edges(data: bytes) -> None:
    """A forwarded body: refused, or SQLite reads from it what was decoded from it."""
    try:
        events = edge.events(data, world().config.limits)
    except Refused:
        return
    world().writer.store.keep(events, [], str(data, "utf-8"))
    world().writer.store.keep(events, [])


_FORMS = ("export", "segment", "nginx", "caddy")


@cache
def _parsers() -> dict[str, Parser]:
    limits = world().config.limits
    gifs, keys = frozenset({"/c.gif"}), frozenset({"wk_shop_f"})

    def reader(form: str) -> Reader | None:
        if form not in ("nginx", "caddy"):
            return None
        return Reader(form, keys, gifs, "https://shop.example", b"s" * 32, limits, ("/skip*",))

    return {form: Parser(form, limits, reader(form)) for form in _FORMS}


def files(data: bytes) -> None:
    """Lines of a file to import: named and refused, or kept as they were built."""
    if not data:
        return
    batch, _ = _parsers()[_FORMS[data[0] % len(_FORMS)]].batch(data[1:], 1, 0)
    if batch.events:
        world().writer.store.keep(batch.events, [])
    calls = []
    if batch.calls:
        whole = b'{"batch":[' + b",".join(batch.calls) + b"]}"
        calls.append(decode.batch(whole, world().config.limits))
    if batch.items:
        calls.append(Call(None, batch.items, []))
    for call in calls:
        call.historical = call.batched = True
        world().writer.store.keep(build.events(call, _arrival()), [])


@cache
def _arrival() -> build.Arrival:
    settings = world().config
    rules, scrub = Rules.of(settings.privacy), Scrubber(settings.privacy)
    masked = Addresses((), "truncated").masked
    return build.Arrival(
        "shop", NOW_MS, None, None, False, settings.limits, masked, rules=rules, scrub=scrub
    )


def junks(data: bytes) -> None:
    """The quick look at a body errs on the safe side only; a batch taken event by event is the
    batch taken whole."""
    limits = world().config.limits
    if not junk.suspicious(data, _DEPTH):
        try:
            value = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        junk._walk(value, "$")
        assert _depth(value) <= _DEPTH, data
        assert not junk.deeper_than(data, _DEPTH)
        _as_batches(data, value, limits)


def _as_batches(data: bytes, value: Any, limits: Any) -> None:
    if not (isinstance(value, dict) and isinstance(value.get("batch"), list)):
        return
    if _has_doubles(data):  # of a name that is there twice one counts, not always the same
        return
    try:
        whole = decode._BATCH.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    try:
        slowly = decode._event_by_event(data, limits)
    except Refused as error:
        if error.status != 413:
            try:
                decode.batch(data, limits)
            except Refused as fast:
                assert fast.message == error.message, data
            else:
                raise AssertionError(data) from error
        return
    assert len(slowly.items) + len(slowly.refused) == len(whole.batch), data
    if not slowly.refused:
        fast = decode.batch(data, limits)
        assert [_raws(item) for item in fast.items] == [_raws(i) for i in slowly.items], data


def _raws(item: Any) -> str:
    fields = msgspec.structs.asdict(item)
    return repr({n: bytes(v) if isinstance(v, msgspec.Raw) else v for n, v in fields.items()})


def _has_doubles(data: bytes) -> bool:
    doubles: list[bool] = []

    def pairs(found: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in found]
        doubles.append(len(set(names)) != len(names))

    try:
        json.loads(data, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return True
    return any(doubles)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, dict | list) else 0


def texts(data: bytes) -> None:
    """Forwarded addresses, cookies, and addresses of pages: what is let through without a closer
    look holds nothing that the closer look would take out."""
    first, _, rest = data.partition(b"\n")
    text = rest.decode("utf-8", "replace")
    forwarded = first.decode("utf-8", "surrogateescape")
    addresses = _addresses()
    place, stored = addresses.place("127.0.0.1", forwarded)
    assert stored == addresses.masked(place)
    assert stored is None or len(stored) < 46
    client = Client("https://shop.example", False, forwarded, Client.agent(forwarded), None, False)
    visitors = world().visitors
    known = visitors._known(visitors._found(msgspec.structs.replace(client, cookies=forwarded)))
    assert known is None, forwarded  # nobody guesses a signature
    scrub = _scrubber()
    body = msgspec.json.encode({"url": text, "x": [text], text[:9]: "/?" + text})
    told = body.decode()
    wanted = scrub._walk(msgspec.json.decode(body), "")
    clean = scrub.text(told)
    assert msgspec.json.decode(clean or "") == wanted, told
    if not scrub.suspects(body):
        assert clean == told


@cache
def _addresses() -> Addresses:
    return Addresses(("127.0.0.0/8", "10.0.0.0/8", "::1"), "truncated")


@cache
def _scrubber() -> Scrubber:
    return Scrubber(world().config.privacy)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "service": service,
    "lane": lane,
    "inflate": inflate,
    "edges": edges,
    "files": files,
    "junks": junks,
    "texts": texts,
}
