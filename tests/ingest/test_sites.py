"""Whose events are taken, of clients with a key and of those without."""

import pytest

from collector.config import SiteConfig
from collector.errors import Refused
from collector.ingest.sites import Sites

SHOP = SiteConfig(name="shop", key="wk_of_the_shop", origins=("https://shop.example:8443",))
BLOG = SiteConfig(name="blog", key="wk_of_the_blog", origins=("https://blog.example",))


@pytest.mark.parametrize(
    "name",
    ["shop", "wk_of_the_shop", "shop.example", "www.Shop.example", "unknown.example, shop.example"],
)
def test_a_client_without_a_key_names_its_site(name: str) -> None:
    assert Sites((SHOP, BLOG), {}).named(name, None).name == "shop"


@pytest.mark.parametrize("name", ["", "other.example", "SHOP", ",,", "x," * 5000 + "shop"])
def test_a_site_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(Refused) as caught:
        Sites((SHOP, BLOG), {}).named(name, None)
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_with_one_site_all_is_its() -> None:
    assert Sites((SHOP,), {}).named("whatever", None).name == "shop"


def test_a_foreign_origin_is_refused_without_a_key_too() -> None:
    sites = Sites((SHOP,), {})
    assert sites.named("shop", "https://shop.example:8443").name == "shop"
    with pytest.raises(Refused) as caught:
        sites.named("shop", "https://evil.example")
    assert caught.value.code == "origin_not_allowed"
