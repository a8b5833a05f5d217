"""CSV: sound for any text, hashed as the advertising systems want it, no formula in it."""

import csv
import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audience.layouts import LAYOUTS, Person, defused, write


def person(email="Ada.Lovelace@Example.com", user_id="ada"):
    return Person("00ff", user_id, email, 0, 0, 1_767_225_600_000)


def rows(layout, *people):
    return list(csv.reader(io.StringIO("".join(write(LAYOUTS[layout], people)))))


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_plain() -> None:
    head, row = rows("plain", person())
    assert head == ["person_id", "user_id", "email", "first_seen", "last_seen", "entered_at"]
    assert row[:3] == ["00ff", "ada", "Ada.Lovelace@Example.com"]
    assert row[5] == "2026-01-01T00:00:00.000Z"


def test_google_and_meta_hash_the_address_in_their_own_form() -> None:
    assert rows("google", person()) == [["Email"], [sha256("ada.lovelace@example.com")]]
    assert rows("google", person(" A.d.a@GMail.com"))[1] == [sha256("ada@gmail.com")]
    assert rows("meta", person(" A.d.a@GMail.com")) == [["email"], [sha256("a.d.a@gmail.com")]]


def test_who_has_no_address_is_in_no_hashed_file() -> None:
    assert rows("google", person(None)) == [["Email"]]
    assert len(rows("plain", person(None))) == 2


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_text(text) -> None:
    assert defused(text) == f"'{text}"
    assert rows("plain", person(user_id=text))[1][1] == f"'{text}"


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_comes_back_as_one_row(user_id, email) -> None:
    user_id = user_id.replace("\0", "")
    text = "".join(write(LAYOUTS["plain"], [person(email.replace("\0", ""), user_id)]))
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert len(read) == 2
    assert read[1][1] in (user_id, f"'{user_id}")
