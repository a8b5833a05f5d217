"""The normal way's own answers."""

import pytest


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", "/v1/track", "POST"), ("POST", "/c.gif", "GET")]
)
async def test_a_wrong_method_is_told_the_right_one(collector, talk, http, method, path, allowed):
    (reply,) = await talk(collector.port, http(method, path))

    assert (reply.status, reply.headers["allow"]) == (405, f"{allowed}, OPTIONS")
