"""Settings of what is kept of a visitor. Part of config.py."""

from typing import Annotated, Literal

from msgspec import Meta

from collector.section import Section


class Privacy(Section, frozen=True):
    """What is kept of a visitor."""

    ip: Annotated[
        Literal["truncated", "full", "none"],
        Meta(description="truncated: /24 of an IPv4, /48 of an IPv6 address"),
    ] = "truncated"
    gpc: Annotated[
        Literal["respect", "off", "ignore"],
        Meta(
            description="Global Privacy Control. respect: kept, marked, never delivered to "
            "advertising; off: such events are not kept; ignore: not looked at"
        ),
    ] = "respect"
    dnt: Annotated[
        Literal["respect", "off", "ignore"],
        Meta(description="Do Not Track, an older signal: as privacy.gpc"),
    ] = "ignore"
    scrub_parameters: Annotated[
        tuple[str, ...],
        Meta(
            description="parameters of URLs and referrers whose values are not kept; * stands for "
            "any letters"
        ),
    ] = (
        "*token",
        "*secret",
        "*password",
        "passwd",
        "pwd",
        "auth",
        "authorization",
        "api_key",
        "apikey",
        "access_key",
        "jwt",
        "otp",
        "session",
        "session_id",
        "sessionid",
        "sid",
        "email",
        "e-mail",
        "mail",
    )
    scrub_patterns: Annotated[
        tuple[str, ...],
        Meta(
            description="regular expressions for what else is not kept of URLs and referrers; by "
            "default e-mail addresses and JSON web tokens"
        ),
    ] = (
        r"(?<![\w.%+-])[\w.%+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+",
        r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?",
    )
    cookie: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{0,40}$",
            description="name of the cookie that remembers a visitor of the pixel; empty: none",
        ),
    ] = "_px_vid"
    cookie_days: Annotated[
        int,
        Meta(ge=1, le=400, description="its age", extra_json_schema={"unit": "days"}),
    ] = 365
