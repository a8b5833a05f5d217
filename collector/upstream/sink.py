"""What an upstream is to the forwarder: something that takes a batch or says why it does not."""

from typing import Protocol

import msgspec

from collector.errors import CollectorError
from collector.event import Outgoing

Name = tuple[str, str, str]  # site, kind (user, anonymous, email), value


class Unreached(CollectorError):
    """It did not take the batch now; later it may. `retry_after_s`: as it asked."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Denied(CollectorError):
    """It takes nothing from here until an operator has seen to it."""


class TooLarge(CollectorError):
    """It may take less at once."""


class Unwanted(CollectorError):
    """At least one event of the batch will never be taken. `status`: as the upstream said."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Refusal(msgspec.Struct, frozen=True):
    """An event that was not taken though its batch was."""

    index: int
    status: int
    words: str


class Batch(msgspec.Struct, frozen=True):
    """Events in order. `token` is the same whenever the same batch is sent again."""

    token: str
    rows: list[Outgoing]


class Upstream(Protocol):
    """One destination. `form`: what it is sent, of store/outgoing.py. `exact`: it knows events it
    has at any age, so that bounds of batches need not be kept. `lanes`: batches in flight.
    `erases`: it can forget a person. `sent_bytes`: so far, as they went over the wire."""

    form: str
    exact: bool
    lanes: int
    erases: bool

    @property
    def sent_bytes(self) -> int: ...

    async def send(self, batch: Batch) -> list[Refusal]:
        """Returns when the upstream has stored the batch. Raises the errors above."""

    async def forget(self, known_as: str, names: list[Name]) -> None:
        """Returns when the upstream has on disk that it is to forget them, or has forgotten them
        already. Asked only of one that `erases`. Raises the errors above."""

    async def close(self) -> None: ...
