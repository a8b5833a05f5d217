"""Settings of the public listener."""

from typing import Annotated

from msgspec import Meta

from collector.section import Count, Port, Seconds, Section, UrlPath


class Http(Section, frozen=True):
    """The public listener: what pages and SDKs talk to."""

    listen: Annotated[Port, Meta(description="address and port of the public listener")] = (
        "127.0.0.1:8080"
    )
    public_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://[^\s\"'<>]+$",
            description="the address under which browsers reach the listener; goes into the "
            "snippet. Empty: http:// and the listen address",
        ),
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="networks whose X-Forwarded-For is believed; the client is the rightmost "
            "address in it that is not one of these"
        ),
    ] = ("127.0.0.0/8", "::1")
    script_path: Annotated[UrlPath, Meta(description="where the script is served")] = "/c.js"
    gif_path: Annotated[UrlPath, Meta(description="where the GIF is served")] = "/c.gif"
    beacon_path: Annotated[UrlPath, Meta(description="where the pixel posts to")] = "/c"
    redirect_domains: Annotated[
        tuple[str, ...],
        Meta(
            description="domains that Snowplow's click counter /r/tp2 may send visitors on to, "
            "their subdomains included; none: there is no such path"
        ),
    ] = ()
    max_connections: Annotated[
        Count, Meta(description="connections open at once; a further one is closed at once")
    ] = 10_000
    backlog: Annotated[Count, Meta(description="connections waiting to be accepted")] = 1024
    tls_certificate: Annotated[
        str,
        Meta(
            description="a PEM file with the certificate and those that lead to its root; read "
            "again when it changes. Empty: plain HTTP, as behind a proxy"
        ),
    ] = ""
    tls_key: Annotated[str, Meta(description="the PEM file of its private key")] = ""
    keepalive_s: Annotated[
        Seconds,
        Meta(
            description="an idle connection is closed after this; also the deadline "
            "for a request's headers",
            extra_json_schema={"unit": "s"},
        ),
    ] = 20.0
    body_timeout_s: Annotated[
        Seconds,
        Meta(
            description="deadline for a request's body, else 408", extra_json_schema={"unit": "s"}
        ),
    ] = 10.0
    unread_timeout_s: Annotated[
        Seconds,
        Meta(
            description="a client that leaves answers unread for this long, so that they pile up "
            "here, is cut off",
            extra_json_schema={"unit": "s"},
        ),
    ] = 20.0
    refused_rest_s: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="after a 503 nothing is read from that connection for this long (what its "
            "Retry-After says), so that refusing costs less than storing",
            extra_json_schema={"unit": "s"},
        ),
    ] = 1.0
    max_header_bytes: Annotated[
        Count, Meta(description="one header's size", extra_json_schema={"unit": "bytes"})
    ] = 16_384
    max_headers: Annotated[Count, Meta(description="headers in a request")] = 64
    hot_lane: Annotated[
        bool,
        Meta(
            description="answer common requests inside the protocol class, and take common "
            "bodies in compiled code; off: every request takes the normal path, with the same "
            "answers"
        ),
    ] = True
    stop_idle_s: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="at a stop, connections that are open and idle are closed after this: a "
            "request that is on its way is answered, and the answer says that it is the last",
            extra_json_schema={"unit": "s"},
        ),
    ] = 0.5
    stop_body_s: Annotated[
        Seconds,
        Meta(
            description="at a stop, bodies still incomplete after this are abandoned",
            extra_json_schema={"unit": "s"},
        ),
    ] = 2.0
    stop_send_s: Annotated[
        Seconds,
        Meta(
            description="at a stop, answers still unsent after this are abandoned",
            extra_json_schema={"unit": "s"},
        ),
    ] = 4.0
