"""What the doctor reads in a page, by hand-made pages."""

import base64
import hashlib

import pytest

from collector import snippet
from collector.doctor.page import Page, Policies, Snippet

PAGE = "https://shop.example/"
SCRIPT = "https://shop.example/m/c.js"


def read(html: str) -> Page:
    page = Page(PAGE)
    page.feed(html)
    return page


def test_the_printed_snippet_is_found_with_all_that_it_says() -> None:
    html = snippet.render("sendgrid", SCRIPT, "wk_1", endpoint="https://shop.example/m/c")
    (found,) = read(f"<head>{html}</head>").snippets
    assert (found.name, found.key, found.script) == ("sendgrid", "wk_1", SCRIPT)
    assert found.endpoint == "https://shop.example/m/c"
    assert found.code is not None


def test_a_script_element_with_a_key_is_found() -> None:
    (found,) = read('<script async src="/m/c.js" data-key="wk_1"></script>').snippets
    assert (found.script, found.key, found.code) == (SCRIPT, "wk_1", None)
    assert found.endpoint == "https://shop.example/m/c"


def test_other_scripts_are_none() -> None:
    other = '<script>f("a","b",{})</script><script src="x.js"></script><script>"setAttribute"'
    assert read(other).snippets == []


INLINE = Snippet(SCRIPT, {"key": "wk_1"}, "code()", "")
NONCED = Snippet(SCRIPT, {"key": "wk_1"}, "code()", "abc")
EXTERNAL = Snippet(SCRIPT, {"key": "wk_1"}, None, "")


@pytest.mark.parametrize(
    ("policy", "found", "inline", "script"),
    [
        ("", INLINE, False, False),
        ("script-src 'self' 'unsafe-inline'", INLINE, False, False),
        ("script-src 'self'", INLINE, True, False),
        ("default-src 'none'", INLINE, True, True),
        ("script-src 'self' 'unsafe-inline' 'nonce-abc'", INLINE, True, False),
        ("script-src 'nonce-abc' 'strict-dynamic'", NONCED, False, False),
        ("script-src 'nonce-abc'", NONCED, False, False),
        ("script-src 'nonce-other'", NONCED, True, True),
        ("script-src https://cdn.example", EXTERNAL, True, True),
        ("script-src https:", EXTERNAL, True, False),
        ("script-src *.shop.example", EXTERNAL, True, True),
        ("script-src shop.example:443", EXTERNAL, True, False),
        ("script-src-elem 'self'; script-src 'none'", EXTERNAL, True, False),
        ("img-src 'none'", EXTERNAL, False, False),
    ],
)
def test_policies(policy: str, found: Snippet, inline: bool, script: bool) -> None:
    policies = Policies([policy], PAGE)
    assert policies.forbids_inline(found) == inline
    assert policies.forbids_script(found) == script


def test_a_hash_allows_just_its_code() -> None:
    digest = base64.b64encode(hashlib.sha256(b"code()").digest()).decode()
    policies = Policies([f"script-src 'sha256-{digest}'"], PAGE)
    assert not policies.forbids_inline(INLINE)
    assert policies.forbids_inline(Snippet(SCRIPT, {}, "code();", ""))


def test_of_several_policies_each_must_allow() -> None:
    policies = Policies(["connect-src *", "connect-src 'self', connect-src https:"], PAGE)
    assert not policies.forbids_posts("https://shop.example/c")
    assert policies.forbids_posts("https://other.example/c")
