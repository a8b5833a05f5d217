"""Settings of forwarding: where to, from whom, and how much may wait. Part of config.py."""

from typing import Annotated, Literal

from msgspec import Meta

from collector.section import Name, Seconds, Section

Bytes = Annotated[int, Meta(ge=0)]
_S = {"unit": "s"}
_BYTES = {"unit": "bytes"}


class Edge(Section, frozen=True):
    """A node that forwards to this one."""

    name: Annotated[Name, Meta(description="the edge's name, as it is shown here")]
    key: Annotated[
        str,
        Meta(
            pattern=r"^ek_[\x21-\x7e]{13,197}$",
            description="the secret that the edge sends with; starts with ek_",
        ),
    ]
    sites: Annotated[
        tuple[str, ...],
        Meta(description="it speaks for these sites only, events and erasures; none: all"),
    ] = ()
    silent_s: Annotated[
        Seconds,
        Meta(description="not heard of for so long, it is shown as silent", extra_json_schema=_S),
    ] = 120.0


class Forward(Section, frozen=True):
    """An upstream: everything in the log goes there, as long as it takes."""

    name: Annotated[Name, Meta(description="its name in commands, metrics and logs")]
    kind: Annotated[
        Literal["http", "kafka", "clickhouse", "file"], Meta(description="what it is")
    ] = "http"
    url: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://[^\s]+$",
            description="http: another collector, or any endpoint with Segment's API; "
            "clickhouse: its HTTP interface",
        ),
    ] = ""
    key: Annotated[
        str,
        Meta(
            description="http: an edge's key (ek_…) makes this an edge of that collector; any "
            "other is a write key, and events go as an ordinary client's"
        ),
    ] = ""
    path: Annotated[
        str,
        Meta(
            pattern=r"^$|^/\S*$",
            description="http: path at the url [/v1/import with an edge's key, else /v1/batch]",
        ),
    ] = ""
    servers: Annotated[
        tuple[str, ...], Meta(description="kafka: brokers to begin with, each HOST:PORT")
    ] = ()
    topic: Annotated[str, Meta(description="kafka: where events go, keyed by visitor")] = ""
    security: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"],
        Meta(description="kafka: how brokers are spoken to"),
    ] = "plaintext"
    sasl: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        Meta(description="kafka: how username and password are proven"),
    ] = "PLAIN"
    username: Annotated[str, Meta(description="kafka, clickhouse: who writes")] = ""
    password: Annotated[str, Meta(description="kafka, clickhouse: and its password")] = ""
    ca_file: Annotated[
        str, Meta(description="kafka: certificates that are trusted [the system's]")
    ] = ""
    cert_file: Annotated[str, Meta(description="kafka: own certificate")] = ""
    key_file: Annotated[str, Meta(description="kafka: its key")] = ""
    database: Annotated[Name, Meta(description="clickhouse: the database")] = "default"
    table: Annotated[
        Name, Meta(description="clickhouse: the table; `collector schema clickhouse` prints it")
    ] = "events"
    file: Annotated[str, Meta(description="file: where lines are appended, as NDJSON")] = ""
    rotate_bytes: Annotated[
        Annotated[int, Meta(ge=1)],
        Meta(
            description="file: from this size on a new one is begun, and the old one gets the "
            "time behind its name",
            extra_json_schema=_BYTES,
        ),
    ] = 1_073_741_824
    headers: Annotated[
        tuple[str, ...],
        Meta(description="http, clickhouse: further headers, each as `Name: value`"),
    ] = ()
    sites: Annotated[tuple[str, ...], Meta(description="only these sites; none: all")] = ()
    types: Annotated[tuple[str, ...], Meta(description="only these types; none: all")] = ()
    events: Annotated[
        tuple[str, ...], Meta(description="only events of these names; none: all")
    ] = ()
    compression: Annotated[Literal["zstd", "gzip", "none"], Meta(description="of what is sent")] = (
        "zstd"
    )
    batch_events: Annotated[
        Annotated[int, Meta(ge=1, le=50_000)],
        Meta(description="events read and sent together, at most; fewer where that is quicker"),
    ] = 2000
    batch_bytes: Annotated[
        Annotated[int, Meta(ge=40_000, le=16_777_216)],
        Meta(description="size of a request before compression", extra_json_schema=_BYTES),
    ] = 450_000
    connections: Annotated[
        Annotated[int, Meta(ge=1, le=16)],
        Meta(
            description="http: requests in flight at once, at most; each visitor's events go one "
            "after the other"
        ),
    ] = 8
    linger_s: Annotated[
        Annotated[float, Meta(ge=0, le=60)],
        Meta(
            description="how long a few events wait for more, so that they travel together",
            extra_json_schema=_S,
        ),
    ] = 0.5
    timeout_s: Annotated[
        Seconds, Meta(description="for an answer, then it is tried again", extra_json_schema=_S)
    ] = 30.0
    retry_s: Annotated[
        Seconds,
        Meta(
            description="the longest rest between two tries; they never end",
            extra_json_schema=_S,
        ),
    ] = 60.0
    heartbeat_s: Annotated[
        Seconds,
        Meta(
            description="http with an edge's key: how often the centre is told how this node is",
            extra_json_schema=_S,
        ),
    ] = 30.0
    audit_s: Annotated[
        Seconds,
        Meta(
            description="http with an edge's key: how often up to 65,536 further events are "
            "compared with the centre",
            extra_json_schema=_S,
        ),
    ] = 10.0
    denied_s: Annotated[
        Seconds,
        Meta(
            description="after 401 or 403 the upstream is stopped; this often one request finds "
            "out whether it is let in again",
            extra_json_schema=_S,
        ),
    ] = 300.0

    @property
    def is_centre(self) -> bool:
        """A collector whose edge this is."""
        return self.kind == "http" and self.key.startswith("ek_")


class Spool(Section, frozen=True):
    """What may wait for upstreams, and what happens when it is more. Matters with [[forward]]."""

    max_bytes: Annotated[
        Bytes,
        Meta(description="size of the database; 0: no bound", extra_json_schema=_BYTES),
    ] = 0
    max_age_s: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(
            description="age of the oldest event that an upstream still lacks; 0: no bound",
            extra_json_schema=_S,
        ),
    ] = 0.0
    min_free_bytes: Annotated[
        Bytes,
        Meta(description="space left on the disk; 0: no bound", extra_json_schema=_BYTES),
    ] = 268_435_456
    policy: Annotated[
        Literal["refuse", "drop_oldest"],
        Meta(
            description="when a bound is reached. refuse: new events get 503; drop_oldest: the "
            "oldest events go, delivered or not, and what was not is counted as lost"
        ),
    ] = "refuse"
    keep_s: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(
            description="profile edge: events that all upstreams have confirmed are deleted after "
            "this",
            extra_json_schema=_S,
        ),
    ] = 86400.0


# Which settings of [[forward]] a kind cannot do without.
NEEDED = {
    "http": ("url", "key"),
    "kafka": ("servers", "topic"),
    "clickhouse": ("url",),
    "file": ("file",),
}
