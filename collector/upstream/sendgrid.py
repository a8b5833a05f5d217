"""Members as contacts of a Twilio SendGrid Marketing list: upserted when they enter, taken off
the list when they leave (the contact itself stays).

Its 202 means queued: the job is looked up (contacts/imports/{job}) before a change counts as
delivered. https://www.twilio.com/docs/sendgrid/api-reference/contacts
"""

from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from collector.config_audiences import DestinationConfig
from collector.upstream.guard import Client
from collector.upstream.parcel import Answer, Parcel
from collector.upstream.webhook import rest_s, trouble

API = "https://api.sendgrid.com"
_POLL_S = 5.0
_encode = msgspec.json.Encoder().encode


class _Trouble(Exception):
    """A request that was not taken."""

    def __init__(self, said: str, down: bool, after_s: float | None = None) -> None:
        super().__init__(said)
        self.down = down
        self.after_s = after_s


class SendGrid:
    """Contacts of one list."""

    def __init__(self, settings: DestinationConfig) -> None:
        self._api = (settings.url or API).rstrip("/") + "/v3/marketing"
        self._list = settings.list_id
        self._headers = {
            "Authorization": f"Bearer {settings.secret}",
            "Content-Type": "application/json",
        }
        self._client = Client(settings.timeout_s, settings.private, settings.parallel)

    async def send(self, parcels: list[Parcel]) -> list[Answer]:
        """Jobs first; then those who enter, then those who leave, each in one request. One that
        failed before goes alone, so that it spoils no other."""
        answers: list[Answer] = []
        for job in dict.fromkeys(p.job for p in parcels if p.job):
            answers += await self._try(self._look_up, [p for p in parcels if p.job == job])
        for change, work in (("entered", self._upsert), ("exited", self._remove)):
            new = [p for p in parcels if p.change == change and not p.job]
            together = [p for p in new if not p.attempts]
            for group in ([together] if together else []) + [[p] for p in new if p.attempts]:
                answers += await self._try(work, group)
        return answers

    async def close(self) -> None:
        await self._client.close()

    async def _try(self, work: Any, parcels: list[Parcel]) -> list[Answer]:
        try:
            done: list[Answer] = await work(parcels)
            return done
        except _Trouble as error:
            return [
                Answer(p.number, error=str(error), down=error.down, after_s=error.after_s)
                for p in parcels
            ]

    async def _upsert(self, parcels: list[Parcel]) -> list[Answer]:
        contacts = [{"email": p.address} for p in parcels if p.address]
        said = await self._ask("PUT", "/contacts", {"list_ids": [self._list], "contacts": contacts})
        return [_queued(p, said) for p in parcels]

    async def _remove(self, parcels: list[Parcel]) -> list[Answer]:
        """By the contacts' ids; who is no contact is on no list."""
        emails = [p.address for p in parcels if p.address]
        said = await self._ask("POST", "/contacts/search/emails", {"emails": emails}, missing=404)
        found = said.get("result") or {}
        ids = {e: found[e]["contact"]["id"] for e in found if found[e].get("contact")}
        gone = [p for p in parcels if (p.address or "").lower() not in ids]
        there = [p for p in parcels if (p.address or "").lower() in ids]
        answers = [Answer(p.number, done=True) for p in gone]
        if there:
            listed = ",".join(quote(ids[(p.address or "").lower()]) for p in there)
            path = f"/lists/{quote(self._list)}/contacts?contact_ids={listed}"
            said = await self._ask("DELETE", path)
            answers += [_queued(p, said) for p in there]
        return answers

    async def _look_up(self, parcels: list[Parcel]) -> list[Answer]:
        said = await self._ask("GET", f"/contacts/imports/{quote(parcels[0].job or '', safe='')}")
        status = said.get("status")
        if status == "completed":
            return [Answer(p.number, done=True) for p in parcels]
        if status in ("errored", "failed"):
            what = f"the job {parcels[0].job} {status}: {said.get('results')}"[:300]
            return [Answer(p.number, error=what) for p in parcels]
        return [Answer(p.number, job=p.job, after_s=_POLL_S) for p in parcels]

    async def _ask(
        self, method: str, path: str, payload: Any = None, missing: int | None = None
    ) -> dict[str, Any]:
        """The decoded answer; of a `missing` status an empty one."""
        sent = None if payload is None else _encode(payload)
        try:
            status, headers, said = await self._client.request(
                method, self._api + path, sent, self._headers, most=4_000_000
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _Trouble(trouble(error), True) from None
        if status == missing:
            return {}
        if not 200 <= status < 300:
            text = f"{status} {said[:200].decode('utf-8', 'replace')}".strip()
            # A key that is refused is refused for everybody.
            raise _Trouble(text, status in (401, 403, 408, 429) or status >= 500, rest_s(headers))
        try:
            return msgspec.json.decode(said, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _Trouble(f"an answer that is no JSON: {error}", True) from None


def _queued(parcel: Parcel, said: dict[str, Any]) -> Answer:
    job = said.get("job_id")
    if not isinstance(job, str) or not job:
        return Answer(parcel.number, error="an answer without job_id")
    return Answer(parcel.number, job=job, after_s=_POLL_S)
