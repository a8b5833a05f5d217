"""What the dashboard's API asks of the rest of the process."""

import contextlib

import pytest

from collector.workers.courtesy import Courtesy


@pytest.mark.parametrize(("path", "waited_for"), [("totals", True), ("live", False)])
async def test_followers_wait_for_an_answer_and_not_for_a_live_view(
    idle, monkeypatch, path, waited_for
):
    asked = []

    def noted(_):
        asked.append(path)
        return contextlib.nullcontext()

    monkeypatch.setattr(Courtesy, "answering", noted)
    collector = await idle.start()
    headers = {"Authorization": f"Bearer {collector.app.token}"}
    url = f"http://127.0.0.1:{collector.app.admin_port}/api/{path}"
    async with collector.session.get(url, headers=headers) as answer:
        assert answer.status == 200
    assert bool(asked) == waited_for
