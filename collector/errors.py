"""The errors that cross floors."""

import re
from pathlib import Path


class CollectorError(Exception):
    """Any error that the operator is meant to read as one line."""


class ConfigError(CollectorError):
    """A setting is wrong; the message names its path and what was expected."""


class Overloaded(CollectorError):
    """The buffer is full: refuse with 503 and Retry-After, nothing was taken."""


class StoreUnavailable(CollectorError):
    """The store cannot write now (disk full, I/O error, read-only): answer 503."""


class Damaged(StoreUnavailable):
    """A database file is damaged. `path`: which one."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class Conflict(CollectorError):
    """Two nodes count with the same id: answer 409, an operator is needed."""


class BadRow(CollectorError):
    """At least one row of the batch cannot be stored; the others can."""


class Refused(CollectorError):
    """A request or an event that is not taken.

    `status` is the HTTP status, `code` the word clients switch on, `message` says what
    was expected and where. `retry_after`: seconds after which a 429 or 503 may pass.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.code = code
        self.message = message

    def bare(self) -> "Refused":
        """The same without the frames it was raised in. Kept with a request's values it would
        keep the request: a circle through structs made with gc=False, never collected."""
        return Refused(self.status, self.code, self.message, self.retry_after)


_WORDS = {
    "str": "text", "int": "whole number", "float": "number", "bool": "true or false",
    "array": "list", "object": "table", "null": "nothing",
}  # fmt: skip


def in_words(text: str) -> str:
    """What msgspec says is wrong, without the names of Python's and JSON's types."""
    if missing := re.search(r"missing required field `(\w+)`", text):
        return f"{missing[1]} is missing"
    text = re.sub("`(.*?)`", lambda m: re.sub(r"\w+", _word, m[1]).replace(" | ", " or "), text)
    return text[:1].lower() + text[1:]


def _word(match: re.Match[str]) -> str:
    return _WORDS.get(match[0], match[0])
