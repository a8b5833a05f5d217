"""Which paths belong to which protocol."""

import pytest

from collector.config_clients import Clients
from collector.config_http import Http
from collector.wire.table import CLIENTS, routes

PIXELS = {"/c", "/c.gif", "/pixel.gif", "/v1/import"}


def only(name: str) -> Clients:
    return Clients(**{other: other == name for other in CLIENTS})


def test_every_protocol_has_a_setting() -> None:
    assert {*CLIENTS, "proxy_ids"} == set(Clients.__struct_fields__)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_protocol_alone_has_its_paths_and_the_pixels(name: str) -> None:
    alone = routes(Http(), only(name)).keys()
    assert alone == CLIENTS[name].keys() | PIXELS


def test_with_all_switched_off_the_pixel_is_left() -> None:
    assert routes(Http(), only("")).keys() == PIXELS
