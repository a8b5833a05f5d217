"""What is delivered to destinations of audiences, and what a destination is to the courier."""

from typing import Any, Protocol

from msgspec import Struct


class Parcel(Struct, array_like=True, frozen=True):
    """One change of one person, with what is known of the person now. `id` is the same at every
    try; `job`: what a destination is still working on; times are milliseconds since 1970."""

    number: int
    id: str
    audience: str
    person: int
    change: str
    at: int
    first: bool
    address: str | None
    attempts: int
    job: str | None
    site: str | None
    user_id: str | None
    email: str | None
    traits: dict[str, Any] | None
    anonymous_ids: list[str]
    merged_into: str | None

    @property
    def person_id(self) -> str:
        return f"{self.person:016x}"


class Answer(Struct, frozen=True):
    """What became of a parcel. Not `done`: it is tried again, after `after_s` where given.
    `down`: the destination as a whole is in trouble, so others wait, too."""

    number: int
    done: bool = False
    error: str | None = None
    job: str | None = None
    down: bool = False
    after_s: float | None = None


class Destination(Protocol):
    """What a courier needs. An answer for each parcel that was tried; never raises."""

    async def send(self, parcels: list[Parcel]) -> list[Answer]: ...

    async def close(self) -> None: ...
