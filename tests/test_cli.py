"""The commands, as a user starts them."""

import contextlib
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import collector

ROOT = str(Path(collector.__file__).parents[1])
PORTS = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")


def command(*arguments, cwd, **environ):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COLLECTOR")}
    return subprocess.Popen(
        [sys.executable, "-m", "collector", *arguments],
        cwd=cwd,
        env=kept | {"PYTHONPATH": ROOT} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments, cwd, **environ):
    """Exit code, standard output and standard error of a command that ends by itself."""
    process = command(*arguments, cwd=cwd, **environ)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


class Served:
    """A running `serve`, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        for line in process.stdout or ():
            self.said += line
            if line.startswith("Events go to"):
                break

    def address(self, words: str) -> str:
        found = re.search(words + r" (http://[^\s/]+)", self.said)
        assert found, self.said + (self.process.stderr.read() if self.process.stderr else "")
        return found[1]


@pytest.fixture
def serve(tmp_path) -> Iterator:
    with contextlib.ExitStack() as stack:

        def start(*arguments, **environ):
            process = command("serve", *arguments, cwd=tmp_path, **environ)
            stack.callback(process.communicate, timeout=10)
            stack.callback(process.kill)
            return Served(process)

        yield start


def test_with_no_settings_it_makes_what_it_needs_and_says_so(serve, tmp_path):
    served = serve(*PORTS)

    data = tmp_path / "data"
    database = sqlite3.connect(f"{(data / 'collector.db').as_uri()}?mode=ro", uri=True)
    with contextlib.closing(database):
        ((site, key),) = database.execute("SELECT site, key FROM site_keys").fetchall()
    assert site == "default"
    assert f'"{key}"' in served.said
    assert "<script>" in served.said
    assert "/c.js" in served.said
    with urllib.request.urlopen(served.address("Listening for events on") + "/healthz") as answer:
        assert answer.status == 200

    token_file = data / "admin-token"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    token = token_file.read_text().strip()
    assert len(token) >= 16
    assert token not in served.said
    assert "token in data/admin-token" in served.said
    ask = urllib.request.Request(served.address("Dashboard on") + "/metrics")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(ask)
    ask.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(ask) as answer:
        assert b"collector_stored_events_total 0.0" in answer.read()

    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(10) == 0


def test_the_key_and_the_token_stay_the_same(serve, tmp_path):
    first = serve(*PORTS)
    token = (tmp_path / "data" / "admin-token").read_text()
    first.process.terminate()
    first.process.wait(10)

    second = serve(*PORTS)

    assert re.findall(r'"wk_[^"]+"', first.said) == re.findall(r'"wk_[^"]+"', second.said)
    assert (tmp_path / "data" / "admin-token").read_text() == token


def test_the_snippet_is_the_one_that_serve_prints(serve, tmp_path):
    served = serve(*PORTS, COLLECTOR__HTTP__PUBLIC_URL="https://c.example")

    code, out, err = run("snippet", "--url", "https://c.example", cwd=tmp_path)

    assert (code, err) == (0, "")
    assert out.strip() in served.said
    assert '"https://c.example/c.js"' in out


def test_the_external_snippet_has_no_inline_script(tmp_path):
    code, out, err = run("snippet", "--url", "https://c.example/a&b", "--external", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith('<script async src="https://c.example/a&amp;b/c.js" data-key="wk_')
    assert out.endswith(' data-global="pixel"></script>\n')


def test_a_snippet_before_the_first_start_makes_the_key(serve, tmp_path):
    code, out, _ = run("snippet", "--global", "sendgrid", cwd=tmp_path)

    assert code == 0
    assert '"sendgrid"' in out
    (key,) = re.findall(r'"(wk_[^"]+)"', out)
    assert key in serve(*PORTS).said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--global", "a-b"), "--global: expected a JavaScript name"),
        (("--global", "</script>"), "--global: expected a JavaScript name"),
        (("--site", "nobody"), "--site: expected one of default"),
        (("--url", "nowhere"), "http.public_url: expected an address with http"),
    ],
)
def test_a_bad_snippet_option_is_named(tmp_path, arguments, said):
    code, out, err = run("snippet", *arguments, cwd=tmp_path)

    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {said}")
    assert "Traceback" not in err


def test_a_snippet_of_a_damaged_database_says_so(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "collector.db").write_bytes(b"no database " * 1000)

    code, _, err = run("snippet", cwd=tmp_path)

    assert code == 2
    assert "data/collector.db: not a database" in err
    assert "Traceback" not in err


def test_check_config_names_the_path_and_the_expectation(tmp_path):
    (tmp_path / "c.toml").write_text('[http]\nlisten = "nowhere"\n')

    code, _, err = run("check-config", "--config", "c.toml", cwd=tmp_path)

    assert (code, err) == (2, "Error: http.listen: expected HOST:PORT, as 127.0.0.1:8080\n")


def test_check_config_says_that_all_is_well_and_makes_nothing(tmp_path):
    (tmp_path / "c.toml").write_text('data = "d"\n[[site]]\nname = "shop"\n')

    code, out, _ = run("check-config", cwd=tmp_path, COLLECTOR_CONFIG="c.toml")

    assert (code, out) == (0, "Settings are sound. Sites: shop. Data: d\n")
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path):
    (tmp_path / "c.toml").write_text('data = "of-file"\n')
    (tmp_path / "secret").write_text("bad")
    said = [
        run("check-config", "--config", "c.toml", *flags, cwd=tmp_path, **environ)[1].split()[-1]
        for flags, environ in (
            ((), {}),
            ((), {"COLLECTOR__DATA": "of-environment"}),
            (("--data", "of-flag"), {"COLLECTOR__DATA": "of-environment"}),
        )
    ]
    _, _, err = run("check-config", cwd=tmp_path, COLLECTOR__ADMIN__TOKEN_FILE="secret")

    assert said == ["of-file", "of-environment", "of-flag"]
    assert err == "Error: admin.token: expected at least 16 characters without spaces\n"


@pytest.mark.parametrize(
    ("flag", "name"), [("--listen", "http.listen"), ("--admin", "admin.listen")]
)
def test_a_port_in_use_is_said_in_one_line(tmp_path, flag, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = run("serve", *PORTS, flag, address, cwd=tmp_path)

    assert code == 2
    assert err.splitlines()[-1].startswith(f"Error: {name}: cannot listen on {address}")
    assert "Traceback" not in err


def test_a_second_collector_on_the_same_data_is_refused(serve, tmp_path):
    serve(*PORTS)

    code, _, err = run("serve", *PORTS, cwd=tmp_path)

    assert code == 2
    assert "Error: data: another collector runs on data" in err
    assert "Traceback" not in err


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    code, _, err = run("serve", *PORTS, "--data", "file/data", cwd=tmp_path)

    assert code == 2
    assert err.splitlines()[-1] == "Error: data: file/data: Not a directory"


def test_it_tells_its_version(tmp_path):
    code, out, _ = run("--version", cwd=tmp_path)

    assert code == 0
    assert re.fullmatch(r"collector \d+\.\d+\.\d+\S* \(SQLite 3\S+, Python 3\S+\)\n", out)
