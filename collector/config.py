"""Settings: each declared once, with its default, unit and help. settings.py reads them,
reference.py prints docs/CONFIG.md from them.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

from collector.config_audiences import AudienceConfig, DestinationConfig, Evaluation
from collector.config_clients import Clients
from collector.config_http import Http
from collector.config_privacy import Privacy
from collector.config_rates import Rates
from collector.fleet import Edge, Forward, Spool
from collector.section import Count, Name, Port, Seconds, Section


class Admin(Section, frozen=True):
    """The admin listener: dashboard, API and metrics, behind a token."""

    listen: Annotated[Port, Meta(description="address and port of the admin listener")] = (
        "127.0.0.1:8081"
    )
    token: Annotated[
        str,
        Meta(
            pattern=r"^$|^[\x21-\x7e]{16,}$",
            description="at least 16 characters without spaces. Empty: made at the first start and "
            "kept in admin-token in the data folder",
        ),
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="names under which browsers reach it, beside addresses and localhost; any "
            "other Host is refused (DNS rebinding)"
        ),
    ] = ()
    session_hours: Annotated[
        float,
        Meta(
            gt=0,
            le=8760,
            description="how long a login holds",
            extra_json_schema={"unit": "hours"},
        ),
    ] = 168.0
    country_database: Annotated[
        str,
        Meta(
            description="a MaxMind database (.mmdb) that tells the countries of addresses; needs "
            "the extra `geo`. Empty: no countries"
        ),
    ] = ""
    cache_mb: Annotated[
        int,
        Meta(
            ge=1,
            le=4096,
            description="pages of the database kept by each of the dashboard's two readers, which "
            "sales over a year run through several times",
            extra_json_schema={"unit": "MB"},
        ),
    ] = 16


class Store(Section, frozen=True):
    """The database, the buffer before it and the deduplication window."""

    durability: Annotated[
        Literal["full", "normal"],
        Meta(
            description="full: a 2xx survives a power cut. normal: it survives a kill, "
            "a power cut may take the last moments"
        ),
    ] = "full"
    dedupe_ids: Annotated[
        int,
        Meta(
            ge=1000,
            le=100_000_000,
            description="the deduplication window, in events; 4,000,000 take at most 64 MB",
        ),
    ] = 4_000_000
    buffer_events: Annotated[
        Count, Meta(description="events waiting for the disk; beyond, 503 with Retry-After")
    ] = 20_000
    buffer_bytes: Annotated[
        Count,
        Meta(
            description="size of the requests waiting for the disk; beyond, 503",
            extra_json_schema={"unit": "bytes"},
        ),
    ] = 33_554_432
    batch_events: Annotated[Count, Meta(description="events in one transaction")] = 1024
    checkpoint_pages: Annotated[
        int,
        Meta(
            ge=1,
            le=2**31 - 1,
            description="pages in the write-ahead log at which it is folded back; under constant "
            "load it grows to sixteen times as many before it begins anew",
            extra_json_schema={"unit": "pages of 8 KiB"},
        ),
    ] = 2000
    cached_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="of the database's newest part, what is left in the system's page cache "
            "as the file grows; 0: as the system sees fit",
            extra_json_schema={"unit": "bytes"},
        ),
    ] = 536_870_912
    rejected_per_site: Annotated[
        Count, Meta(description="refused events kept per site; the oldest go, counted")
    ] = 10_000
    retention: Annotated[
        str,
        Meta(
            pattern=r"^forever$|^[1-9]\d{0,4} (day|week|month|year)s?$",
            description="events stay in the log as long; people, purchases and leads stay. "
            'As "25 months", "90 days", or "forever"',
        ),
    ] = "25 months"
    retention_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="while the database holds more than this, its oldest events go however "
            "young they are; 0: it may grow",
            extra_json_schema={"unit": "bytes"},
        ),
    ] = 0
    retention_every_s: Annotated[
        Seconds,
        Meta(description="how often old events are looked for", extra_json_schema={"unit": "s"}),
    ] = 60.0

    @property
    def keep_ms(self) -> int | None:
        """`retention` in milliseconds; None for ever."""
        if self.retention == "forever":
            return None
        count, unit = self.retention.split()
        days = {"day": 1.0, "week": 7.0, "month": 30.4375, "year": 365.25}[unit.rstrip("s")]
        return int(int(count) * days * 86_400_000)


class Limits(Section, frozen=True):
    """What a request may hold. Sizes are counted after inflating."""

    event_bytes: Annotated[
        Count, Meta(description="size of an event", extra_json_schema={"unit": "bytes"})
    ] = 32_768
    batch_bytes: Annotated[
        Count, Meta(description="size of a body", extra_json_schema={"unit": "bytes"})
    ] = 512_000
    batch_events: Annotated[Count, Meta(description="events in a batch")] = 2500
    message_id_chars: Annotated[
        Count, Meta(description="length of a message id", extra_json_schema={"unit": "characters"})
    ] = 100
    depth: Annotated[
        int, Meta(ge=4, le=500, description="nesting of an event's objects and arrays")
    ] = 64
    clock_skew_s: Annotated[
        float,
        Meta(
            ge=0,
            description="a client's clock is corrected when it is off by more",
            extra_json_schema={"unit": "s"},
        ),
    ] = 60.0


class People(Section, frozen=True):
    """Who is who: what ties ids together, and how far."""

    junk_ids: Annotated[
        tuple[str, ...],
        Meta(
            description="ids that name nobody, beside those always held for junk (undefined, null, "
            "anonymous, …); compared without case"
        ),
    ] = ()
    id_chars: Annotated[
        Count, Meta(description="a longer id ties nobody", extra_json_schema={"unit": "characters"})
    ] = 255
    ids_per_person: Annotated[
        Count, Meta(description="ids tied to one user or address; later ones stay by themselves")
    ] = 500
    people_per_id: Annotated[
        Count, Meta(description="turns of users that one anonymous id is followed through")
    ] = 50
    traits_per_id: Annotated[Count, Meta(description="traits kept of one id")] = 200
    repeat_minutes: Annotated[
        float,
        Meta(
            ge=0,
            description="the same cart of the same person, without order id, is a repeat within "
            "this time",
            extra_json_schema={"unit": "minutes"},
        ),
    ] = 30.0
    items_per_order: Annotated[
        Count,
        Meta(description="items of an order that came each in an event; later ones do not count"),
    ] = 500
    step_events: Annotated[
        Count, Meta(description="events that the projector works through in one transaction")
    ] = 1000
    pace_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="the least time from one step to the next while there is little to do",
            extra_json_schema={"unit": "ms"},
        ),
    ] = 100
    visits_s: Annotated[
        Seconds,
        Meta(
            description="how often it is written down when people were last seen",
            extra_json_schema={"unit": "s"},
        ),
    ] = 20.0


class Log(Section, frozen=True):
    """What the process says."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="the least that is said")
    ] = "info"
    format: Annotated[
        Literal["human", "json"], Meta(description="one line, or one JSON object, a message")
    ] = "human"


class SiteConfig(Section, frozen=True):
    """A site whose events are taken."""

    name: Annotated[Name, Meta(description="the site, as stored with every event")]
    key: Annotated[
        str | tuple[str, ...],
        Meta(
            description="write key; several at once for rotation. "
            "Empty: made and kept in the database"
        ),
    ] = ""
    origins: Annotated[tuple[str, ...], Meta(description="origins that may send; none: any")] = ()
    identity: Annotated[
        Literal["open", "verified"],
        Meta(
            description="whose word ties a visitor to a user. open: whoever sends; verified: only "
            "an identify with a valid traits.user_hash (hex HMAC-SHA256 of the user id), and "
            "server keys"
        ),
    ] = "open"
    identity_secret: Annotated[
        str,
        Meta(
            pattern=r"^$|^[\x21-\x7e]{16,}$",
            description="the key of that HMAC, known to your server only",
        ),
    ] = ""
    cookieless: Annotated[
        bool,
        Meta(
            description="no cookie, no address, and in place of the visitor's id one that the "
            "server makes anew each day"
        ),
    ] = False
    server_keys: Annotated[
        tuple[str, ...],
        Meta(description="write keys that no page holds; what comes with one is trusted"),
    ] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(k for k in ([self.key] if isinstance(self.key, str) else self.key) if k)


class Config(Section, frozen=True):
    """Everything that can be set."""

    data: Annotated[str, Meta(min_length=1, description="the folder that holds collector.db")] = (
        "data"
    )
    profile: Annotated[
        Literal["full", "edge"],
        Meta(
            description="edge: takes, keeps and forwards events only; no people, audiences or "
            "dashboard"
        ),
    ] = "full"
    http: Http = field(default_factory=Http)
    admin: Admin = field(default_factory=Admin)
    store: Store = field(default_factory=Store)
    limits: Limits = field(default_factory=Limits)
    rates: Rates = field(default_factory=Rates)
    privacy: Privacy = field(default_factory=Privacy)
    people: People = field(default_factory=People)
    clients: Clients = field(default_factory=Clients)
    log: Log = field(default_factory=Log)
    spool: Spool = field(default_factory=Spool)
    site: tuple[SiteConfig, ...] = ()
    evaluation: Evaluation = field(default_factory=Evaluation)
    audience: tuple[AudienceConfig, ...] = ()
    destination: tuple[DestinationConfig, ...] = ()
    edge: tuple[Edge, ...] = ()
    forward: tuple[Forward, ...] = ()

    @property
    def public_url(self) -> str:
        return (self.http.public_url or f"http://{self.http.listen}").rstrip("/")


def split_listen(listen: str) -> tuple[str, int]:
    """HOST:PORT as a pair, an IPv6 host without its brackets."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def declared(
    struct: type[Struct] = Config, prefix: str = ""
) -> Iterator[tuple[str, msgspec.structs.FieldInfo, Meta]]:
    """Every setting: its dotted path, its field, and what is said of it."""
    for info in msgspec.structs.fields(struct):
        path = f"{prefix}{info.name}"
        inner = get_args(info.type)[0] if get_origin(info.type) is tuple else info.type
        if isinstance(inner, type) and issubclass(inner, Section):
            dot = f"{path}[]." if inner is not info.type else f"{path}."
            yield from declared(inner, dot)
            continue
        meta = next(m for m in reversed(get_args(info.type)) if isinstance(m, Meta))
        yield path, info, meta
