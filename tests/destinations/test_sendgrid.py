"""SendGrid's contacts: a change counts when its job is completed, not when it is queued."""

import json

import pytest
from aiohttp import web

from collector.config_audiences import DestinationConfig
from collector.upstream.sendgrid import SendGrid


class Api:
    """The part of SendGrid's API that is used; contacts and the list are plain sets."""

    def __init__(self) -> None:
        self.contacts: dict[str, str] = {}
        self.listed: set[str] = set()
        self.jobs: dict[str, str] = {}
        self.fail = 0

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer SG.key-of-the-tests"
        if self.fail:
            return web.json_response({"errors": []}, status=self.fail)
        path = request.path.removeprefix("/v3/marketing")
        if request.method == "PUT":
            asked = await request.json()
            assert asked["list_ids"] == ["list-1"]
            for contact in asked["contacts"]:
                self.contacts[contact["email"]] = f"id of {contact['email']}"
                self.listed.add(contact["email"])
            return self._job()
        if path == "/contacts/search/emails":
            emails = [e for e in (await request.json())["emails"] if e in self.contacts]
            if not emails:
                return web.json_response({"errors": []}, status=404)
            found = {e: {"contact": {"id": self.contacts[e]}} for e in emails}
            return web.json_response({"result": found})
        if request.method == "DELETE":
            assert path == "/lists/list-1/contacts"
            ids = request.query["contact_ids"].split(",")
            self.listed -= {e for e, i in self.contacts.items() if i in ids}
            return self._job()
        return web.json_response({"id": path[-5:], "status": self.jobs[path.rsplit("/", 1)[1]]})

    def _job(self) -> web.Response:
        job = f"job-{len(self.jobs)}"
        self.jobs[job] = "pending"
        return web.json_response({"job_id": job}, status=202)


@pytest.fixture
async def api(peer):
    made = Api()
    peer.answer = made.answer
    return made


@pytest.fixture
async def sendgrid(peer, api):
    made = SendGrid(
        DestinationConfig(
            name="sg",
            kind="sendgrid",
            url=peer.url,
            secret="SG.key-of-the-tests",
            list_id="list-1",
            private=True,
        )
    )
    yield made
    await made.close()


async def test_who_enters_is_upserted_and_counts_when_the_job_is_completed(
    sendgrid, api, parcel
) -> None:
    (queued,) = await sendgrid.send([parcel()])
    assert (queued.done, queued.job) == (False, "job-0")
    (pending,) = await sendgrid.send([parcel(job="job-0")])
    assert (pending.done, pending.job) == (False, "job-0")
    api.jobs["job-0"] = "completed"
    (done,) = await sendgrid.send([parcel(job="job-0")])
    assert done.done
    assert api.listed == {"u1@example.com"}


@pytest.mark.parametrize("status", ["errored", "failed"])
async def test_a_job_that_failed_is_begun_anew(sendgrid, api, parcel, status) -> None:
    await sendgrid.send([parcel()])
    api.jobs["job-0"] = status
    (answer,) = await sendgrid.send([parcel(job="job-0")])
    assert not answer.done and answer.job is None and status in answer.error


async def test_who_leaves_is_taken_off_the_list(sendgrid, api, parcel) -> None:
    await sendgrid.send([parcel(1), parcel(2)])
    (answer,) = await sendgrid.send([parcel(1, "exited")])
    assert answer.job == "job-1"
    assert api.listed == {"u2@example.com"}
    (answer,) = await sendgrid.send([parcel(3, "exited")])
    assert answer.done  # never was a contact


async def test_many_go_in_one_request_and_what_failed_alone(sendgrid, peer, parcel) -> None:
    await sendgrid.send([parcel(1), parcel(2), parcel(3, attempts=1)])
    sent = [len(json.loads(body)["contacts"]) for _, _, _, body in peer.requests]
    assert sent == [2, 1]


@pytest.mark.parametrize(("status", "down"), [(500, True), (429, True), (401, True), (400, False)])
async def test_refusals(sendgrid, api, parcel, status, down) -> None:
    api.fail = status
    (answer,) = await sendgrid.send([parcel()])
    assert (answer.done, answer.down) == (False, down)
