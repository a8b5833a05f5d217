"""Violations and trust are set at arrival: for known events, and where identity is verified."""

import hashlib
import hmac
import json

import pytest

from tests.conftest import KEY

SECRET = "a secret of the server".replace(" ", "-")
SITE = {"name": "shop", "key": KEY}
SERVER = {"server_keys": ["sk_of_the_tests"]}
VERIFIED = SITE | SERVER | {"identity": "verified", "identity_secret": SECRET}


def user_hash(user: str) -> str:
    return hmac.new(SECRET.encode(), user.encode(), hashlib.sha256).hexdigest()


def call(kind: str, number: int, **fields: object) -> dict[str, object]:
    return {"type": kind, "messageId": f"m{number}", "userId": "ada"} | fields


async def test_a_purchase_that_breaks_the_table_is_stored_with_its_violations(idle, hot_lane):
    collector = await idle.start(**{"http.hot_lane": hot_lane})
    track = call("track", 1, event="Purchase", properties={"total": "lots", "currency": "USD"})
    fine = call("track", 2, event="Purchase", properties={"total": 5})
    page = call("page", 3, name="Purchase", properties={"total": "lots"})
    assert await collector.post("/v1/batch", {"batch": [track, fine, page]}) == (
        200,
        {"success": True},
    )
    rows = collector.rows()
    assert json.loads(rows[0]["violations"]) == ["expected a number - at `$.properties.total`"]
    assert [row["violations"] for row in rows[1:]] == [None, None]


async def test_where_identity_is_open_nothing_is_said_of_trust(collector):
    await collector.post("/v1/batch", {"batch": [call("identify", 1, traits={"user_hash": "x"})]})
    assert [row["trusted"] for row in collector.rows()] == [None]


async def test_only_an_identify_with_the_right_hash_is_trusted(idle):
    collector = await idle.start(site=[VERIFIED])
    good = {"user_hash": user_hash("ada")}
    batch = [
        call("identify", 1, traits=good),
        call("identify", 2, traits={"user_hash": user_hash("ada").upper()}),
        call("identify", 3, traits={"user_hash": user_hash("bob")}),
        call("identify", 4, traits={"user_hash": 5}),
        call("identify", 5),
        call("track", 6, event="Tried", traits=good),
        call("identify", 7, userId=None, anonymousId="a", traits=good),
        call("identify", 8, traits={"user_hash": "é"}),
    ]
    await collector.post("/v1/batch", {"batch": batch})
    assert [row["trusted"] for row in collector.rows()] == [1, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("site", [VERIFIED, SITE | SERVER], ids=["verified", "open"])
async def test_what_comes_with_a_server_key_is_trusted(idle, site):
    collector = await idle.start(site=[site])
    idle.key = "sk_of_the_tests"
    await collector.post("/v1/batch", {"batch": [call("track", 1, event="Tried")]})
    assert [(row["site"], row["trusted"]) for row in collector.rows()] == [("shop", 1)]


async def test_verified_without_secret_and_server_key_trusts_nobody_and_is_refused(idle):
    with pytest.raises(Exception, match="identity_secret"):
        await idle.start(site=[SITE | {"identity": "verified"}])
