"""/openapi.json is true: requests made from it, sound and unsound, at a real process, whose
answers are what it says they are."""

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as described_checks

from collector.config import Clients, Config
from collector.config_http import Http
from collector.wire.openapi import describe
from collector.wire.table import documents, routes
from tests.faults.harness import Collector

HTTP = Http(redirect_domains=("shop.example",), gif_path="/pic/a.gif")
CHECKS = [
    checks.not_a_server_error,
    described_checks.status_code_conformance,
    described_checks.content_type_conformance,
    described_checks.response_headers_conformance,
    described_checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    folder = tmp_path_factory.mktemp("described")
    given = {"http__redirect_domains__0": "shop.example", "http__gif_path": "/pic/a.gif"}
    with asyncio.Runner() as runner:
        collector = Collector(folder, **given)
        runner.run(collector.start())
        yield collector
        runner.run(collector.stop())
        assert "Traceback" not in collector.said()


# The whole description; its server's address is another one than the process's.
DESCRIBED = describe(Config(http=HTTP))


def to_be_tried() -> dict[str, Any]:
    """One path of those that are described alike, as the six kinds of calls and their short
    names are; all of them with OPENAPI_ALL=1 (minutes)."""
    if os.environ.get("OPENAPI_ALL"):
        return DESCRIBED
    alike = {
        json.dumps([{**one, "summary": ""} for one in operations.values()]): path
        for path, operations in DESCRIBED["paths"].items()
    }
    return DESCRIBED | {"paths": {path: DESCRIBED["paths"][path] for path in alike.values()}}


@schemathesis.openapi.from_dict(to_be_tried()).parametrize()
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case: schemathesis.Case, process: Collector) -> None:
    user = base64.b64encode(f"{process.key}:".encode()).decode()
    case.call_and_validate(
        base_url=process.url, headers={"Authorization": f"Basic {user}"}, checks=CHECKS
    )


def test_it_is_what_is_served(process: Collector) -> None:
    with urlopen(f"{process.url}/openapi.json") as answer:
        served = json.load(answer)
    assert served == DESCRIBED | {"servers": [{"url": process.url}]}


def test_every_path_of_the_table_is_described_and_no_other() -> None:
    config = Config(http=HTTP)
    paths = dict(DESCRIBED["paths"])
    for path, route in routes(config.http, config.clients).items():
        assert route.method.lower() in paths.pop(path)
    for document in documents(config.clients):
        assert document.method.lower() in paths.pop(document.path)
    assert paths.keys() == {
        *("/c.js", "/pixel.js", "/analytics.js/v1/{key}/analytics.min.js"),
        *("/healthz", "/readyz", "/openapi.json"),
    }


def test_what_is_switched_off_is_not_described() -> None:
    off = Clients(**dict.fromkeys(Clients.__struct_fields__, False))
    paths = describe(Config(clients=off))["paths"].keys()
    assert not [path for path in paths if path.startswith(("/v1/t", "/api", "/i", "/analytics"))]
