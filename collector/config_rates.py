"""Settings of how much one sender may send. Part of config.py."""

from typing import Annotated

from msgspec import Meta

from collector.section import Count, Section


class Rates(Section, frozen=True):
    """How much one sender may send; more is answered 429 with Retry-After."""

    address_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            description="requests from one address (IPv6: one /64). 0: any number, as it must be "
            "while a proxy is missing in http.trusted_proxies, or all visitors share its allowance",
            extra_json_schema={"unit": "a minute"},
        ),
    ] = 0
    key_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            description="events under one write key, whoever sends them. 0: any number",
            extra_json_schema={"unit": "a minute"},
        ),
    ] = 0
    exempt: Annotated[
        tuple[str, ...],
        Meta(description="networks whose addresses are not counted: edge nodes, your own servers"),
    ] = ()
    remembered: Annotated[
        Count, Meta(description="addresses counted at once; beyond, the oldest is forgotten")
    ] = 65_536
