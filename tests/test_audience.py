"""Audiences from end to end: a real collector, its commands, its admin API."""

import asyncio
import csv
import io
import json

import pytest
from click.testing import CliRunner

from collector.cli import main

RULE = {"all": [{"page": "/pricing*", "within": "7d"}, {"not": {"event": "purchase"}}]}
AUDIENCES = [
    {"name": "saw-pricing", "rule": RULE},
    {"name": "pro", "rule": {"trait": "plan", "op": "eq", "value": "pro"}},
]


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.05)


def page(user: str, path: str = "/pricing", **fields):
    where = {"path": path, "url": f"https://shop.example{path}"}
    return {"type": "page", "userId": user, "properties": where, **fields}


@pytest.fixture
async def shop(idle):
    await idle.start(audience=AUDIENCES)
    batch = [
        page("ada"),
        {"type": "identify", "userId": "ada", "traits": {"email": "ada@x.example", "plan": "pro"}},
        page("bob", context={"consent": {"ads": False}}),
        page("cid", context={"consent": {"ads": True}}),
        {"type": "identify", "userId": "cid", "traits": {"email": "C.id@gmail.com"}},
        page("dan", "/other"),
    ]
    status, _ = await idle.post("/v1/batch", {"batch": batch})
    assert status == 200

    async def there():
        return len(members(idle)) == 3 and len(members(idle, "pro")) == 1

    await until(there)
    return idle


def members(collector, audience: str = "saw-pricing"):
    sql = f"SELECT person_id FROM audience_members WHERE audience = '{audience}'"
    return collector.rows(sql)


def run(collector, tmp_path, *arguments: str):
    settings = tmp_path / "settings.json.toml"
    text = "\n".join(
        f'[[audience]]\nname = "{a["name"]}"\nrule = {toml(a["rule"])}' for a in AUDIENCES
    )
    settings.write_text(text)
    common = ["--config", str(settings), "--data", str(collector.data)]
    return CliRunner().invoke(main, ["audience", arguments[0], *common, *arguments[1:]])


def toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


async def invoke(*arguments):
    """In a thread: the commands bring a loop of their own."""
    return await asyncio.to_thread(run, *arguments)


async def test_list_and_members(shop, tmp_path) -> None:
    listed = await invoke(shop, tmp_path, "list")
    assert listed.output == "pro: 1\nsaw-pricing: 3\n"
    shown = await invoke(shop, tmp_path, "members", "saw-pricing")
    assert len(shown.output.splitlines()) == 3
    assert "ada@x.example" in shown.output


async def test_export_leaves_out_who_refused(shop, tmp_path) -> None:
    plain = await invoke(shop, tmp_path, "export", "saw-pricing")
    rows = list(csv.DictReader(io.StringIO(plain.output)))
    assert {row["user_id"] for row in rows} == {"ada", "cid"}
    google = tmp_path / "google.csv"
    await invoke(
        shop, tmp_path, "export", "saw-pricing", "--layout", "google", "--output", str(google)
    )
    head, *hashes = google.read_text().split()
    assert head == "Email"
    assert len(hashes) == 1  # who was asked and agreed
    assert len(hashes[0]) == 64


async def test_preview_of_a_past_moment(shop, tmp_path) -> None:
    now = await invoke(shop, tmp_path, "preview", "saw-pricing")
    assert "3 of 4 people belonged" in now.output
    past = await invoke(shop, tmp_path, "preview", "saw-pricing", "--at", "2020-01-01")
    assert "0 of 4 people belonged" in past.output
    rule = tmp_path / "rule.toml"
    rule.write_text('[rule]\nany = [{ audience = "pro" }, { page = "/other" }]')
    tried = await invoke(shop, tmp_path, "preview", "--rule", str(rule))
    assert "2 of 4 people belonged" in tried.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "none"), "there is no audience 'none'; known: pro, saw-pricing"),
        (("preview",), "one of NAME and --rule is needed"),
        (("preview", "pro", "--at", "soon"), "--at: expected a date as 2026-01-31, got 'soon'"),
    ],
)
async def test_what_is_wrong_is_said(shop, tmp_path, arguments, message) -> None:
    said = await invoke(shop, tmp_path, *arguments)
    assert said.exit_code == 2
    assert message in said.output


async def test_the_admin_api(shop) -> None:
    headers = {"Authorization": f"Bearer {shop.app.token}"}

    async def get(path):
        async with shop.session.get(shop.admin_url + path, headers=headers) as answer:
            return answer.status, await answer.text()

    _, listed = await get("/api/audiences")
    assert {a["name"]: a["members"] for a in json.loads(listed)} == {"saw-pricing": 3, "pro": 1}
    _, shown = await get("/api/audiences/saw-pricing/members")
    assert {person["user_id"] for person in json.loads(shown)} == {"ada", "cid"}
    _, text = await get("/api/audiences/saw-pricing/export?layout=meta")
    assert len(text.split()) == 2
    assert (await get("/api/audiences/none/export"))[0] == 400
    body = {"rule": {"page": "/other"}}
    url = shop.admin_url + "/api/audiences/preview"
    async with shop.session.post(url, json=body, headers=headers) as answer:
        *looked, last = map(json.loads, (await answer.text()).splitlines())
        assert looked == [{"members": 1, "people": 4, "of": 4}]
        assert (last["success"], last["members"], last["people"]) == (True, 1, 4)
        assert [person["user_id"] for person in last["who"]] == ["dan"]
    async with shop.session.post(url, json={"rule": {}}, headers=headers) as answer:
        assert answer.status == 400


async def test_changes_are_events_of_the_log_and_metrics(shop) -> None:
    await shop.post("/v1/track", {"userId": "ada", "event": "Purchase"})

    async def recorded():
        rows = shop.rows("SELECT user_id, properties FROM events WHERE event = 'Audience Exited'")
        return [(r["user_id"], json.loads(r["properties"])["audience"]) for r in rows] == [
            ("ada", "saw-pricing")
        ]

    await until(recorded)
    headers = {"Authorization": f"Bearer {shop.app.token}"}
    async with shop.session.get(shop.admin_url + "/metrics", headers=headers) as answer:
        text = await answer.text()
    for name in ("audiences_lag_events", "withheld_changes_total", "destination_failing"):
        assert f"collector_{name}" in text
    assert 'collector_delivered_changes_total{destination="log"}' in text


def test_check_config_names_the_place_of_a_wrong_rule(tmp_path) -> None:
    settings = tmp_path / "collector.toml"
    settings.write_text('[[audience]]\nname = "a"\nrule = { all = [{ page = "pricing" }] }')
    said = CliRunner().invoke(main, ["check-config", "--config", str(settings)])
    assert said.exit_code == 2
    assert "audience[0].rule.all[0].page: expected a path as /pricing*" in said.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[audience]]\nname = "a"\nrule = {page = "/"}\nto = ["x"]',
         "audience[0].to[0]: there is no destination 'x'"),
        ('[[destination]]\nname = "x"\nkind = "webhook"\nsecret = "0123456789abcdef"',
         "destination[0].url: webhook needs it"),
        ('[[audience]]\nname = "a"\nsite = "x"\nrule = {page = "/"}',
         "audience[0].site: there is no site 'x'"),
    ],
)  # fmt: skip
def test_check_config_names_other_mistakes(tmp_path, text, message) -> None:
    settings = tmp_path / "collector.toml"
    settings.write_text(text)
    said = CliRunner().invoke(main, ["check-config", "--config", str(settings)])
    assert said.exit_code == 2
    assert message in said.output


async def test_without_audiences_nothing_is_kept_of_them(shop) -> None:
    await shop.stop()
    await shop.start()
    for table in ("audiences", "audience_states", "event_index", "outbox"):
        assert shop.rows(f"SELECT * FROM {table}") == []
    assert shop.rows("SELECT * FROM cursors WHERE name LIKE 'audiences%'") == []
    await shop.stop()
    await shop.start(audience=AUDIENCES)

    async def back():
        return len(members(shop)) == 3

    await until(back)
