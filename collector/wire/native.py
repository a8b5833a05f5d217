"""The GIF: one event in a query string, for pages without script and opened mails."""

import base64

from collector.config import Limits
from collector.errors import Refused
from collector.wire import junk
from collector.wire.message import Answer, Call, Item, Refusal, Request, raw_object

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
NO_STORE = (("Cache-Control", "no-store, private"),)
_FIELDS = {
    "k": "key",
    "e": "event",
    "u": "url",
    "t": "title",
    "r": "referrer",
    "id": "messageId",
    "a": "anonymousId",
    "uid": "userId",
}


def gif(request: Request, kind: str, limits: Limits) -> Call:
    """`?k=KEY&e=EVENT or page&u=&t=&r=&id=&a=&uid=&p.NAME=VALUE`; without `u` the page is
    the Referer."""
    try:
        return _call(request, limits)
    except Refused as error:
        raw = request.url.raw_query_string.encode("utf-8", "replace")
        key = request.url.query.get("k")
        return Call(key, [], [Refusal(0, error, raw[: limits.event_bytes])])


def _call(request: Request, limits: Limits) -> Call:
    fields: dict[str, str] = {}
    properties: dict[str, str] = {}
    for name, value in request.url.query.items():
        junk.check_text(value, name)
        if name in _FIELDS:
            fields[name] = value
        elif name.startswith("p."):
            junk.check_text(name, "p.")
            properties[name[2:]] = value
    given = {
        "url": fields.get("u") or own_page(request.client.referer),
        "title": fields.get("t"),
        "referrer": fields.get("r"),
    }
    page = {name: value for name, value in given.items() if value}
    event = fields.get("e") or "page"
    item = Item(
        type="page" if event == "page" else "track",
        event=event,
        message_id=fields.get("id"),
        user_id=fields.get("uid"),
        anonymous_id=fields.get("a"),
        properties=raw_object(page | properties if event == "page" else properties),
        context=raw_object({"page": page} if page else {}),
    )
    return Call(fields.get("k"), [item], [], browser=True)


def own_page(referer: str | None) -> str | None:
    return referer if referer and referer.isascii() else None


def answer(refused: list[Refusal], stored: int) -> Answer:
    """A GIF whatever was in the query: an image cannot show an error."""
    return PIXEL


def error(refused: Refused) -> Answer:
    """503 when it cannot be stored; anything else is the client's and gets its GIF."""
    status = refused.status if refused.status in (429, 503) else 200
    retry = (("Retry-After", str(refused.retry_after)),) if status != 200 else ()
    return Answer(status, "image/gif", GIF, NO_STORE + retry)


PIXEL = Answer(200, "image/gif", GIF, NO_STORE)
