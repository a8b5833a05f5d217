"""What goes into a protocol and what comes out of it: plain values, no server, no database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
import yarl
from multidict import MultiMapping, istr

from collector.errors import Refused
from collector.event import Event

# Segment's ids are strings; clients in typed languages send numbers, as its own API takes them.
Id = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | str | None
ABSENT = msgspec.Raw(b"")
_AGENT_CHARS = 1024

# Header names that aiohttp's headers find without lowering them first (a third of a look-up).
ANONYMOUS_ID = istr("AnonymousId")
AUTHORIZATION = istr("Authorization")
CONTENT_ENCODING = istr("Content-Encoding")
CONTENT_TYPE = istr("Content-Type")
COOKIE = istr("Cookie")
DNT = istr("DNT")
FORWARDED_FOR = istr("X-Forwarded-For")
HOST = istr("Host")
ORIGIN = istr("Origin")
REFERER = istr("Referer")
REQUEST_ID = istr("X-Request-Id")
SEC_GPC = istr("Sec-GPC")
USER_AGENT = istr("User-Agent")


class Client(msgspec.Struct, frozen=True, gc=False):
    """What a request's headers say of who sends it, and from which page. `cookies` is the
    Cookie header, not taken apart."""

    origin: str | None
    gpc: bool
    forwarded: str
    user_agent: str | None
    referer: str | None
    dnt: bool = False
    cookies: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, headers: MultiMapping[str]) -> "Client":
        return cls(
            headers.get(ORIGIN),
            headers.get(SEC_GPC) == "1",
            # A proxy may add a line of its own below the visitor's.
            ",".join(headers.getall(FORWARDED_FOR, ())),
            cls.agent(headers.get(USER_AGENT)),
            headers.get(REFERER),
            headers.get(DNT) == "1",
            "; ".join(headers.getall(COOKIE, ())),
            headers.get(REQUEST_ID, ""),
        )

    @staticmethod
    def agent(text: str | None) -> str | None:
        """A User-Agent as it is stored: text, and not endless."""
        if text is None or text.isascii():
            return text[:_AGENT_CHARS] if text else None
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:_AGENT_CHARS]


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request whose body is complete and inflated. `headers` compare names without case; of
    those that `client` speaks of they may lack some."""

    method: str
    url: yarl.URL
    headers: MultiMapping[str]
    body: bytes
    peer: str
    client: Client


class Item(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """One call as the clients send it (Segment's common fields). Raw fields hold JSON that
    wire/decode.py has looked through, ABSENT when not given."""

    type: str | None = None
    message_id: str | None = None
    event: str | None = None
    name: str | None = None
    user_id: Id = None
    anonymous_id: Id = None
    group_id: Id = None
    previous_id: Id = None
    timestamp: datetime | None = None
    sent_at: datetime | None = None
    properties: msgspec.Raw = ABSENT
    traits: msgspec.Raw = ABSENT
    context: msgspec.Raw = ABSENT
    write_key: str | None = None
    integrations: msgspec.Raw = ABSENT
    category: msgspec.Raw = ABSENT
    original_timestamp: msgspec.Raw = ABSENT


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """One event that was not taken: its place in the batch, why, and its bytes."""

    index: int
    error: Refused
    body: bytes

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "error", self.error.bare())


class Call(msgspec.Struct, gc=False):
    """A request understood: whose key, which events, which of them were refused.

    `batched`: places are named `$.batch[i]`. `historical`: times are kept as given (import).
    `named`: how a client without a key calls its site. `reply`: what is answered in place of the
    protocol's `answer` once the events are on disk, where it depends on the request. `browser`:
    a visitor's browser sent it, whatever its headers. `cookie`: the visitor's is looked after.
    `fresh`: the visitor's id was made just now, for want of a remembered one; `reset`: the
    visitor is another from here on. `declined`: events whose visitor said no.
    `anonymous`: no address is kept. `forwarded`: what an edge stored, to be believed under an
    edge's key only; there are no items then."""

    key: str | None
    items: list[Item]
    refused: list[Refusal]
    sent_at: datetime | None = None
    batched: bool = False
    historical: bool = False
    named: str | None = None
    reply: "Answer | None" = None
    anonymous: bool = False
    browser: bool = False
    cookie: bool = False
    fresh: bool = False
    reset: bool = False
    declined: int = 0
    forwarded: list[Event] | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What goes back. `headers` are those beside content type, length and CORS; `message` is an
    error's, which becomes the reason phrase: some SDKs hand on nothing else of an answer."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    message: str = ""


def refusal(refused: Refused, body: object) -> Answer:
    """An error in a protocol's own form; when to come again where the trouble is not its own."""
    headers = (("Retry-After", str(refused.retry_after)),) if refused.status in (429, 503) else ()
    encoded = msgspec.json.encode(body)
    return Answer(refused.status, "application/json", encoded, headers, refused.message)


def raw_object(value: Mapping[str, object]) -> msgspec.Raw:
    """As JSON; ABSENT when there is nothing in it."""
    return msgspec.Raw(msgspec.json.encode(value)) if value else ABSENT


def invalid(message: str, status: int = 400, code: str = "invalid_event") -> Refused:
    return Refused(status, code, message)
