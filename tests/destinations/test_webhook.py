"""The webhook: signed by the standard, one request a change, no redirect, no private address."""

import asyncio
import base64
import hashlib
import hmac
import json
import time

import pytest
from aiohttp import web

from collector.config_audiences import DestinationConfig
from collector.upstream.guard import PrivateAddress, PublicResolver, check_address
from collector.upstream.webhook import Webhook

SECRET = "a secret of the tests".replace(" ", "-")


@pytest.fixture
async def hook(peer):
    made = []

    def make(**settings):
        values = {"kind": "webhook", "name": "crm", "url": peer.url + "/in", "secret": SECRET}
        made.append(Webhook(DestinationConfig(**{**values, "private": True, **settings})))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_a_change_arrives_signed(hook, peer, parcel) -> None:
    (answer,) = await hook().send([parcel()])
    assert answer.done
    ((method, path, headers, body),) = peer.requests
    assert (method, path) == ("POST", "/in")
    assert json.loads(body) == {
        "id": "id-1", "type": "audience.entered", "audience": "a",
        "at": "2026-01-01T00:00:00.000Z", "first": False,
        "person": {"id": "0000000000000001", "site": "shop", "user_id": "u1",
                   "email": "u1@example.com", "anonymous_ids": ["x"], "traits": {"plan": "pro"}},
    }  # fmt: skip
    assert headers["webhook-id"] == "id-1"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"id-1.{headers['webhook-timestamp']}.".encode() + body
    right = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{right}"


async def test_a_secret_in_the_standards_form_is_its_bytes(hook, peer, parcel) -> None:
    await hook(secret="whsec_" + base64.b64encode(b"k" * 24).decode()).send([parcel()])
    ((_, _, headers, body),) = peer.requests
    signed = f"id-1.{headers['webhook-timestamp']}.".encode() + body
    right = base64.b64encode(hmac.new(b"k" * 24, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{right}"


@pytest.mark.parametrize(
    ("status", "down"), [(500, True), (503, True), (429, True), (400, False), (301, False)]
)
async def test_what_is_no_success_is_tried_again(hook, peer, parcel, status, down) -> None:
    async def answer(request):
        return web.Response(status=status, headers={"Retry-After": "7", "Location": "/other"})

    peer.answer = answer
    (got,) = await hook().send([parcel()])
    assert (got.done, got.down, got.after_s) == (False, down, 7.0)
    assert got.error is not None and got.error.startswith(str(status))
    assert len(peer.requests) == 1


async def test_an_endpoint_in_trouble_is_spared_the_rest(hook, peer, parcel) -> None:
    async def answer(request):
        return web.Response(status=500)

    peer.answer = answer
    answers = await hook(parallel=2).send([parcel(n) for n in range(1, 9)])
    assert len(answers) == len(peer.requests) == 2


async def test_an_endpoint_that_does_not_answer_is_down(hook, peer, parcel) -> None:
    gone = asyncio.Event()

    async def answer(request):
        await gone.wait()
        return web.Response()

    peer.answer = answer
    (got,) = await hook(timeout_s=0.2).send([parcel()])
    gone.set()
    assert got.down and "Timeout" in got.error


async def test_a_private_address_is_not_talked_to(hook, peer, parcel) -> None:
    for host in ("127.0.0.1", "localhost"):
        (got,) = await hook(private=False, url=f"http://{host}:{peer.port}/").send([parcel()])
        assert got.down and "private address" in got.error
    assert peer.requests == []


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1", "0.0.0.0", "::1",
     "::", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
     "100.64.0.1", "224.0.0.1", "255.255.255.255"],
)  # fmt: skip
def test_addresses_that_are_private(address) -> None:
    with pytest.raises(PrivateAddress):
        check_address(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::808:808"])
def test_addresses_that_are_public(address) -> None:
    check_address(address)


async def test_odd_spellings_of_this_machine_are_seen_through() -> None:
    for host in ("127.1", "0x7f.0.0.1", "2130706433"):
        with pytest.raises(OSError):
            await PublicResolver().resolve(host, 80)
