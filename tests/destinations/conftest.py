"""A peer, and parcels for it."""

import pytest

from collector.upstream.parcel import Parcel
from tests.destinations.peer import Peer

AT = 1_767_225_600_000


@pytest.fixture
async def peer():
    made = Peer()
    made.url = await made.start()
    yield made
    await made.stop()


@pytest.fixture
def parcel():
    def make(number: int = 1, change: str = "entered", **fields) -> Parcel:
        values = {
            "number": number, "id": f"id-{number}", "audience": "a", "person": number,
            "change": change, "at": AT, "first": False, "address": f"u{number}@example.com",
            "attempts": 0, "job": None, "site": "shop", "user_id": f"u{number}",
            "email": f"u{number}@example.com", "traits": {"plan": "pro"},
            "anonymous_ids": ["x"], "merged_into": None,
        }  # fmt: skip
        return Parcel(**{**values, **fields})

    return make
