"""Finds what must not get past decoding although it is sound JSON for msgspec's raw fields:
NUL, lone surrogates, wrong UTF-8, integers beyond 64 bits, numbers beyond a double, depth.

A body is looked at once, as a whole and in compiled code (1 µs for 600 bytes); only when
something may be wrong is each event decoded and walked, so that neighbours survive.
"""

import re
from typing import Any

import msgspec

from collector.wire.message import invalid

# Digits become 0, E becomes e, braces become brackets, what else may follow a number becomes a
# comma; letters and + are dropped: half of a body, so that what is left is looked through in
# half the time, and digits that only letters part (a checksum) get a closer look.
_SHAPE = bytes.maketrans(b"0123456789E{} \t\r\n,", b"0000000000e[]" + b"," * 5)
_LETTERS = bytes(
    b for b in range(256) if b > 127 or (chr(b).isalpha() and chr(b) not in "eE") or b == ord("+")
)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]"))
_LONG = b"0" * 19
_HIGH = b"0e000"
_EXPONENT = re.compile(rb"0e0000*[,\]]")  # three digits and more; a UUID's e123 is not at its end
# NUL, and surrogates that are not a pair; those behind a second backslash may be text, or not.
_ESCAPE = re.compile(
    rb"\\u0000"
    rb"|\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]"
    rb"|\\\\u[dD][89a-fA-F]",
    re.DOTALL,
)
# What may be a number out of bounds: a closer look, 8 µs where a walk takes 25. `Mobile/15E148 `
# in an iPhone's user agent has the shape of one.
_NUMBER = re.compile(rb"[:\[,]\s*+-?(?:\d{19}|[\d.]++[eE][+-]?\d{3})|^-?\d")
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_decode = msgspec.json.decode


def suspicious(body: bytes, depth: int) -> bool:
    """True when the body may hold junk or nest deeper than `depth`: a quick look that errs on
    the safe side."""
    shape = body.translate(_SHAPE, _LETTERS)
    if _LONG in shape or (_HIGH in shape and _EXPONENT.search(shape)):
        shape = body.translate(_SHAPE, b"+")
        if _LONG in shape or _EXPONENT.search(shape):
            return True
    if b"\\" in body and _ESCAPE.search(body):
        return True
    if not (body.isascii() or _is_utf8(body)):
        return True
    return shape.count(b"[") > depth and _nests_beyond(shape, depth)


def _nests_beyond(shape: bytes, depth: int) -> bool:
    """Takes away the innermost pairs of brackets, level by level: what is left after `depth`
    rounds nests deeper, or holds brackets that are text."""
    rest = shape.translate(None, _NO_BRACKETS)
    for _ in range(depth):
        shorter = rest.replace(b"[]", b"")
        if len(shorter) == len(rest):
            break
        rest = shorter
    return bool(rest)


def deeper_than(raw: bytes, depth: int) -> bool:
    """True when JSON text nests deeper than `depth`. The count of openers is an upper bound."""
    if raw.count(b"{") + raw.count(b"[") <= depth:
        return False
    level = deepest = 0
    for token in _BRACKETS.finditer(raw):
        char = token[0]
        if char in (b"{", b"["):
            level += 1
            deepest = max(deepest, level)
        elif char in (b"}", b"]"):
            level -= 1
    return deepest > depth


_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def sound(raw: bytes, depth: int, at: str) -> None:
    """Raises Refused when JSON text holds junk, or nests deeper than `depth`."""
    if suspicious(raw, depth):
        if deeper_than(raw, depth):
            raise invalid(f"nested deeper than {depth} - at `{at}`")
        if _NUMBER.search(raw) or _ESCAPE.search(raw) or not (raw.isascii() or _is_utf8(raw)):
            check(raw, at)


def check(raw: bytes, at: str) -> None:
    """Decode one JSON text and walk it; raises Refused naming the place below `at`."""
    try:
        value = _decode(raw)
    except UnicodeDecodeError:
        raise invalid(f"not UTF-8 - at `{at}`") from None
    except (msgspec.DecodeError, RecursionError) as error:
        text, _, _ = str(error).partition(" - at ")
        raise invalid(f"{text} - at `{at}`") from None
    _walk(value, at)


def _walk(value: Any, at: str) -> None:
    if isinstance(value, str):
        check_text(value, at)
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_text(key, at)
            _walk(inner, f"{at}.{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _walk(inner, f"{at}[{i}]")
    elif isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        raise invalid(f"integer beyond 64 bits - at `{at}`")


def check_text(text: str, at: str) -> None:
    if "\0" in text:
        raise invalid(f"NUL character in text - at `{at}`")
    if not text.isascii() and not _encodes(text):
        raise invalid(f"lone surrogate in text - at `{at}`")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
