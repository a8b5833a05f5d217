"""Changes as signed JSON to an address of the site's own (Standard Webhooks:
webhook-id, webhook-timestamp, webhook-signature = v1,base64(HMAC-SHA256(id.timestamp.body)))."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import time

import aiohttp
import msgspec

from collector.clock import iso
from collector.config_audiences import DestinationConfig
from collector.upstream.guard import Client
from collector.upstream.parcel import Answer, Parcel

_encode = msgspec.json.Encoder().encode
_LONGEST_REST_S = 3600.0


class Webhook:
    """One request a change, several at once; each person's come one after the other."""

    def __init__(self, settings: DestinationConfig) -> None:
        self._url = settings.url
        self._key = _key(settings.secret)
        self._parallel = settings.parallel
        self._client = Client(settings.timeout_s, settings.private, settings.parallel)

    async def send(self, parcels: list[Parcel]) -> list[Answer]:
        answers: list[Answer] = []
        for i in range(0, len(parcels), self._parallel):
            answers += await asyncio.gather(*map(self._post, parcels[i : i + self._parallel]))
            if any(answer.down for answer in answers):
                break
        return answers

    async def close(self) -> None:
        await self._client.close()

    async def _post(self, parcel: Parcel) -> Answer:
        payload = body(parcel)
        try:
            status, headers, said = await self._client.request(
                "POST", self._url, payload, self._signed(parcel.id, payload)
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Answer(parcel.number, error=trouble(error), down=True)
        if 200 <= status < 300:
            return Answer(parcel.number, done=True)
        text = f"{status} {said[:200].decode('utf-8', 'replace')}".strip()
        down = status in (408, 429) or status >= 500
        return Answer(parcel.number, error=text, down=down, after_s=rest_s(headers))

    def _signed(self, parcel_id: str, payload: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        return {
            "Content-Type": "application/json",
            "webhook-id": parcel_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(self._key, parcel_id, timestamp, payload),
        }


def signature(key: bytes, parcel_id: str, timestamp: str, payload: bytes) -> str:
    signed = f"{parcel_id}.{timestamp}.".encode() + payload
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    """`whsec_` and base64, as the standard has it, or any text."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def body(parcel: Parcel) -> bytes:
    person = {
        "id": parcel.person_id,
        "site": parcel.site,
        "user_id": parcel.user_id,
        "email": parcel.email,
        "anonymous_ids": parcel.anonymous_ids,
        "traits": parcel.traits or {},
    }
    if parcel.merged_into:
        person["merged_into"] = parcel.merged_into
    return _encode(
        {
            "id": parcel.id,
            "type": f"audience.{parcel.change}",
            "audience": parcel.audience,
            "at": iso(parcel.at),
            "first": parcel.first,
            "person": person,
        }
    )


def trouble(error: BaseException) -> str:
    inner = getattr(error, "os_error", None) or error  # aiohttp wraps, and says less
    return f"{type(inner).__name__}: {inner}".rstrip(": ")[:300]


def rest_s(headers: dict[str, str]) -> float | None:
    """What Retry-After says, in seconds; dates are not understood."""
    text = headers.get("retry-after", "")
    return min(float(text), _LONGEST_REST_S) if text.isdecimal() and len(text) < 10 else None
