"""The files of docs/ that other programs read: alert rules, a dashboard, units."""

import configparser
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from collector.app import App
from collector.settings import load

DOCS = Path(__file__).parent.parent / "docs"
SETTINGS = """
[[site]]
name = "shop"
key = "wk_shop_0123456789"
[[edge]]
name = "fra-1"
key = "ek_fra1_0123456789"
[[forward]]
name = "centre"
kind = "http"
url = "http://127.0.0.1:1"
key = "ek_edge_0123456789"
[[destination]]
name = "crm"
kind = "webhook"
url = "http://127.0.0.1:1/hook"
secret = "a-secret-of-this-test"
[[audience]]
name = "buyers"
to = ["crm"]
rule = { event = "purchase" }
"""


def expressions() -> list[str]:
    """Of all alerts and panels."""
    rules = yaml.safe_load((DOCS / "prometheus" / "alerts.yml").read_text("utf-8"))
    board = json.loads((DOCS / "prometheus" / "grafana.json").read_text("utf-8"))
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return alerts + [t["expr"] for panel in board["panels"] for t in panel["targets"]]


async def test_every_metric_that_rules_and_dashboard_ask_for_exists(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(SETTINGS)
    flags = {"data": str(tmp_path / "data")}
    flags |= {"http.listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0"}
    app = App(load(file, environ={}, flags=flags))
    await app.start()
    try:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {app.token}"}) as session,
            session.get(f"http://127.0.0.1:{app.admin_port}/metrics") as answer,
        ):
            there = set(re.findall(r"^# TYPE (\w+) ", await answer.text(), re.MULTILINE))
    finally:
        await app.stop()
    asked = {name for text in expressions() for name in re.findall(r"collector_\w+", text)}
    assert len(asked) > 15
    assert {re.sub("_bucket$", "", name) for name in asked} <= there


def test_every_alert_says_what_is_the_matter_and_how_urgent_it_is() -> None:
    rules = yaml.safe_load((DOCS / "prometheus" / "alerts.yml").read_text("utf-8"))
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def unit(name: str) -> Any:
    # Some keys may come several times; the last one is enough to look at.
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DOCS / "systemd" / name, "utf-8")
    return parser


def test_the_units_hand_over_sockets_by_the_names_that_the_collector_knows() -> None:
    service = unit("collector.service")["Unit"]["Requires"].split()
    assert service == ["collector.socket", "collector-admin.socket"]
    names = [unit(name)["Socket"]["FileDescriptorName"] for name in service]
    assert names == ["public", "admin"]
    assert unit("collector.service")["Service"]["Type"] == "notify"
