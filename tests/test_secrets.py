"""Who may read what: files of the data folder, and secrets, which nobody is told."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.faults.harness import Collector, free_port

SECRETS = {
    "server key": "sk_never_to_be_told_1",
    "identity secret": "identity_never_to_be_told_2",
    "edge key": "ek_never_to_be_told_3",
    "forward key": "ek_never_to_be_told_4",
    "forward header": "header-never-to-be-told-5",
    "webhook secret": "whsecret_never_to_be_told_6",
    "admin token": "token_never_to_be_told_7_abcdefghijklmnop",
}


def config(folder: Path) -> Path:
    """With a secret at each place that takes one; where it forwards to, nobody listens."""
    said = dict(zip(("server", "identity", "edge", "forward", "header", "hook", "token"),
                    SECRETS.values(), strict=True))  # fmt: skip
    file = folder / "collector.toml"
    file.write_text(
        f"""
        [admin]
        token = "{said["token"]}"
        [[site]]
        name = "shop"
        server_keys = ["{said["server"]}"]
        identity = "verified"
        identity_secret = "{said["identity"]}"
        [[edge]]
        name = "fra-1"
        key = "{said["edge"]}"
        [[forward]]
        name = "centre"
        kind = "http"
        url = "http://127.0.0.1:{free_port()}"
        key = "{said["forward"]}"
        headers = ["X-Secret: {said["header"]}"]
        [[audience]]
        name = "all"
        to = ["hook"]
        rule = {{ event = "E" }}
        [[destination]]
        name = "hook"
        kind = "webhook"
        url = "http://127.0.0.1:{free_port()}/hook"
        secret = "{said["hook"]}"
        private = true
        """
    )
    return file


@pytest.fixture
async def collector(tmp_path: Path):
    before = os.umask(0)  # as the carelessly started are
    running = Collector(tmp_path)
    running._command += ["--config", str(config(tmp_path))]
    try:
        async with running:
            await events(running)
            yield running
    finally:
        os.umask(before)


async def events(collector: Collector) -> None:
    call = {"type": "track", "event": "E", "userId": "u"}
    body = {"writeKey": collector.key, "batch": [call, {"type": "x"}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{collector.url}/v1/batch", json=body) as answer,
    ):
        assert answer.status == 200


async def asked(address: str, *, token: str | None = None) -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(address) as answer,
    ):
        return f"{answer.headers}{await answer.text(errors='replace')}"


async def test_the_files_are_the_owners_alone_whatever_the_umask(collector):
    files = [path for path in collector.data.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"collector.db", "collector.db-wal", "collector.mark"} <= names
    assert stat.S_IMODE(collector.data.stat().st_mode) == 0o700
    open_to_others = {f.name: oct(f.stat().st_mode) for f in files if f.stat().st_mode & 0o077}
    assert open_to_others == {}


async def test_a_secret_is_told_nobody(collector):
    """Not in the log, when deliveries fail; not in metrics, settings, errors or process list."""
    async with asyncio.timeout(30):
        while "centre" not in collector.said():  # the upstream that nobody listens at
            await asyncio.sleep(0.05)
    token = SECRETS["admin token"]
    said = [collector.said()]
    said += [
        await asked(f"{collector.admin_url}{path}", token=token)
        for path in ("/metrics", "/api/system", "/api/forward", "/api/nothing", "/")
    ]
    said += [await asked(f"{collector.admin_url}/api/system")]
    said += [
        await asked(f"{collector.url}{path}")
        for path in ("/openapi.json", "/readyz", "/nothing", "/c.js", "/c.gif?k=wrong")
    ]
    pid = collector.pid
    said += [Path(f"/proc/{pid}/cmdline").read_text(), Path(f"/proc/{pid}/comm").read_text()]
    assert "collector_stored_events_total 1.0" in said[1]
    for name, secret in SECRETS.items():
        assert not [text[:200] for text in said if secret in text], name


def test_a_broken_setting_is_named_without_its_secret(tmp_path):
    file = config(tmp_path)
    secret = SECRETS["edge key"]
    file.write_text(file.read_text().replace(secret, secret.replace("ek_", "xx_")))
    command = [sys.executable, "-m", "collector", "check-config", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "edge[0].key" in done.stdout + done.stderr
    assert "never_to_be_told" not in done.stdout + done.stderr
