"""Audiences of the dashboard: tried, saved, judged like those of the settings, kept, taken away."""

import asyncio
import json

import pytest

SEEN = {"page": "/pricing*"}
TOKEN = "a-token-of-the-tests"


def page(user: str, path: str = "/pricing", **fields):
    return {"type": "page", "userId": user, "properties": {"path": path}, **fields}


@pytest.fixture
async def shop(idle):
    """Nobody has defined an audience."""
    await idle.start(**{"admin.token": TOKEN})
    batch = [page("ada"), page("bob"), page("cid", "/other")]
    assert (await idle.post("/v1/batch", {"batch": batch}))[0] == 200
    while idle.app.persons.follower.lag:
        await asyncio.sleep(0.01)
    return idle


async def ask(shop, method: str, path: str, body=None):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = shop.admin_url + path
    async with shop.session.request(method, url, json=body, headers=headers) as answer:
        lines = (await answer.text()).splitlines()
        return answer.status, json.loads(lines[-1])


async def until(shop, name: str, people: set[str]) -> None:
    async with asyncio.timeout(30):
        while members(shop, name) != people or shop.app.membership.audiences.evaluating:
            await asyncio.sleep(0.02)


def members(shop, name: str) -> set[str]:
    sql = "SELECT user_id FROM audience_members JOIN people ON id = person_id WHERE audience = "
    return {row["user_id"] for row in shop.rows(f"{sql}'{name}'")}


async def tried(shop, rule, **more):
    """The answer once the index has come so far."""
    async with asyncio.timeout(30):
        while True:
            body = {"rule": rule, **more}
            status, said = await ask(shop, "POST", "/api/audiences/preview", body)
            if status != 503:
                return status, said
            assert "are being indexed" in said["message"]
            await asyncio.sleep(0.05)


async def test_a_rule_is_tried_where_there_is_no_audience_yet(shop) -> None:
    status, said = await tried(shop, SEEN)
    assert status == 200
    assert (said["members"], said["people"]) == (2, 3)
    assert {person["user_id"] for person in said["who"]} == {"ada", "bob"}
    status, said = await tried(shop, SEEN, site="elsewhere")
    assert (status, said["members"]) == (200, 0)


async def test_a_saved_one_is_judged_and_outlives_a_restart(shop) -> None:
    assert (await ask(shop, "PUT", "/api/audiences/seen", {"rule": SEEN}))[0] == 200
    await until(shop, "seen", {"ada", "bob"})
    await shop.restart()
    await shop.post("/v1/batch", {"batch": [page("dan")]})
    await until(shop, "seen", {"ada", "bob", "dan"})
    _, listed = await ask(shop, "GET", "/api/audiences")
    assert [(a["name"], a["members"], a["saved"]) for a in listed] == [("seen", 3, True)]
    _, one = await ask(shop, "GET", "/api/audiences/seen")
    assert one["rule"] == SEEN


async def test_a_changed_one_has_other_members_and_one_taken_away_none(shop) -> None:
    await ask(shop, "PUT", "/api/audiences/seen", {"rule": SEEN})
    await until(shop, "seen", {"ada", "bob"})
    await ask(shop, "PUT", "/api/audiences/seen", {"rule": {"page": "/other"}})
    await until(shop, "seen", {"cid"})
    assert (await ask(shop, "DELETE", "/api/audiences/seen"))[0] == 200
    assert members(shop, "seen") == set()
    assert (await ask(shop, "GET", "/api/audiences"))[1] == []
    await shop.restart()
    assert (await ask(shop, "GET", "/api/audiences/seen"))[0] == 400


async def test_those_of_the_settings_stay_as_they_are_and_may_be_named(idle) -> None:
    await idle.start(**{"admin.token": TOKEN}, audience=[{"name": "a", "rule": SEEN}])
    await idle.post("/v1/batch", {"batch": [page("ada"), page("cid", "/other")]})
    not_a = {"rule": {"not": {"audience": "a"}}}
    assert (await ask(idle, "PUT", "/api/audiences/b", not_a))[0] == 200
    await until(idle, "b", {"cid"})
    for method in ("PUT", "DELETE"):
        status, said = await ask(idle, method, "/api/audiences/a", not_a)
        assert (status, said["message"]) == (
            400,
            "name: a stands in the settings and is changed there",
        )
    assert members(idle, "a") == {"ada"}


async def test_one_that_another_names_is_not_taken_away(shop) -> None:
    await ask(shop, "PUT", "/api/audiences/a", {"rule": SEEN})
    await ask(shop, "PUT", "/api/audiences/b", {"rule": {"not": {"audience": "a"}}})
    status, said = await ask(shop, "DELETE", "/api/audiences/a")
    assert status == 400
    assert said["message"] == "a is still needed: audience b: there is no audience 'a'"
    status, said = await ask(shop, "PUT", "/api/audiences/a", {"rule": {"audience": "b"}})
    assert (status, said["message"]) == (400, "audience b: a circle: b → a → b")
    await until(shop, "b", {"cid"})


async def test_one_that_no_longer_fits_the_settings_waits_and_stops_no_start(idle, caplog) -> None:
    await idle.start(**{"admin.token": TOKEN}, audience=[{"name": "a", "rule": SEEN}])
    await ask(idle, "PUT", "/api/audiences/b", {"rule": {"audience": "a"}})
    await idle.stop()
    await idle.start(**{"admin.token": TOKEN})
    assert "the saved audience b is left out: audience b: there is no audience 'a'" in caplog.text
    assert (await ask(idle, "GET", "/api/audiences"))[1] == []
    await idle.stop()
    await idle.start(**{"admin.token": TOKEN}, audience=[{"name": "a", "rule": SEEN}])
    assert [a["name"] for a in (await ask(idle, "GET", "/api/audiences"))[1]] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("a", {"rule": {"page": "x"}}, "rule.page: expected a path as /pricing*, got 'x'"),
        ("a", {"rule": {"audience": "none"}}, "audience a: there is no audience 'none'"),
        ("a", {"rule": SEEN, "to": ["crm"]}, "audience[0].to[0]: there is no destination 'crm'"),
        ("a", {"rule": SEEN, "site": "x"}, "audience[0].site: there is no site 'x'"),
        ("a", {"rule": []}, "Expected `object`, got `array` - at `$.rule`"),
        ("a b", {"rule": SEEN}, "name: expected letters, digits, `.`, `_` and `-`"),
        ("%3Cscript%3E", {"rule": SEEN}, "name: expected letters, digits, `.`, `_` and `-`"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_nothing_kept(shop, name, body, message, quiet) -> None:
    status, said = await ask(shop, "PUT", f"/api/audiences/{name}", body)
    assert (status, said["message"]) == (400, message)
    assert shop.rows("SELECT * FROM saved_audiences") == []
    quiet()


async def test_the_chart_knows_who_entered_and_left_and_how_many_there_were(shop) -> None:
    rule = {"all": [SEEN, {"not": {"event": "purchase"}}]}
    await ask(shop, "PUT", "/api/audiences/seen", {"rule": rule})
    await until(shop, "seen", {"ada", "bob"})
    for batch, people in (
        ([page("dan"), page("eve")], {"ada", "bob", "dan", "eve"}),
        ([{"type": "track", "event": "Purchase", "userId": "ada"}], {"bob", "dan", "eve"}),
    ):
        await shop.post("/v1/batch", {"batch": batch})
        await until(shop, "seen", people)
    _, lines = await ask(shop, "GET", "/api/audiences/seen/chart?from=2020-01-01")
    # Those of the first evaluation were in from the start: they did not enter.
    assert (sum(lines["entered"]), sum(lines["exited"])) == (2, 1)
    assert lines["members"][0] is None
    assert lines["members"][-1] == 3


async def test_what_destinations_have_yet_to_hear_is_told(idle) -> None:
    closed = {"url": "http://127.0.0.1:9/", "secret": "s" * 16, "private": True}
    crm = {"name": "crm", "kind": "webhook", **closed}
    await idle.start(**{"admin.token": TOKEN}, destination=[crm])
    await idle.post("/v1/batch", {"batch": [page("ada")]})
    await ask(idle, "PUT", "/api/audiences/seen", {"rule": SEEN, "to": ["crm"], "record": False})
    await until(idle, "seen", {"ada"})
    async with asyncio.timeout(30):
        while True:
            _, one = await ask(idle, "GET", "/api/audiences/seen")
            if one["deliveries"] and one["deliveries"][0]["attempts"]:
                break
            await asyncio.sleep(0.05)
    (crm,) = one["deliveries"]
    assert (crm["destination"], crm["told"], crm["waiting"]) == ("crm", 1, 1)
    assert crm["error"]
    assert one["to"] == ["crm"]
