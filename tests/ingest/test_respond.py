"""The reason phrase of an error is its message, whatever came in with it."""

import pytest

from collector.ingest import respond


def _status_line(message: str) -> str:
    head = respond.raw(respond.failed(400, "invalid_event", message), None).partition(b"\r\n")[0]
    return head.decode("ascii")


def test_it_says_what_the_body_says() -> None:
    message = "expected `str`, got `int` - at `$.batch[0].userId`"
    assert _status_line(message) == f"HTTP/1.1 400 {message}"
    answer = respond.failed(400, "invalid_event", message)
    assert respond.response(answer, None).reason == message


def test_an_answer_without_a_message_has_the_standard_phrase() -> None:
    assert _status_line("") == "HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize("hostile", ["a\r\nSet-Cookie: b=c", "\x00\x1b[2J", "é東\u202e", "\x7f\t"])
def test_what_cannot_stand_in_a_status_line_is_a_question_mark(hostile: str) -> None:
    line = _status_line(hostile)
    assert set(line) <= set(map(chr, range(32, 127)))
    assert "?" in line


def test_it_is_short() -> None:
    assert len(_status_line("x" * 10_000)) == len("HTTP/1.1 400 ") + 200
