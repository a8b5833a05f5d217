"""What a page says: the snippets in it, and what its Content-Security-Policy lets them do."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

# The inline snippet's last call: (global, address of the script, attributes).
_CALL = re.compile(
    r'\("((?:[^"\\]|\\.){1,80})"\s*,\s*"((?:[^"\\]|\\.){1,2000})"\s*,\s*(\{[^{}]*\})\)'
)
_OURS = ("setAttribute", "data-", "trackForm")


class Snippet(Struct, frozen=True):
    """One place where the page loads the script. `code` is None where it is a plain
    `<script src>`; `attributes` are the script's data- attributes without that word."""

    script: str
    attributes: dict[str, str]
    code: str | None
    nonce: str

    @property
    def key(self) -> str:
        return self.attributes.get("key", "")

    @property
    def name(self) -> str:
        return self.attributes.get("global", "pixel")

    @property
    def endpoint(self) -> str:
        """Where the script will post to."""
        given = self.attributes.get("endpoint")
        return urljoin(self.script, given) if given else urljoin(self.script, "c")


class Page(HTMLParser):
    """`feed` it the HTML; then `snippets` and `policies` (of meta elements) are there."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.url = url
        self.snippets: list[Snippet] = []
        self.policies: list[str] = []
        self._script: dict[str, str] | None = None
        self._code: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta" and given.get("http-equiv", "").lower() == "content-security-policy":
            self.policies.append(given.get("content", ""))
        if tag == "script":
            self._script, self._code = given, []
            data = {n.removeprefix("data-"): v for n, v in given.items() if n.startswith("data-")}
            if given.get("src") and "key" in data:
                script = urljoin(self.url, given["src"])
                self.snippets.append(Snippet(script, data, None, given.get("nonce", "")))

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self._code.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._script is not None:
            self._inline("".join(self._code), self._script.get("nonce", ""))
            self._script = None

    def _inline(self, code: str, nonce: str) -> None:
        if not all(word in code for word in _OURS):
            return
        for found in _CALL.finditer(code):
            try:
                name, script = json.loads(f'"{found[1]}"'), json.loads(f'"{found[2]}"')
                data = json.loads(found[3])
            except ValueError:
                continue
            data = {"global": name} | {n: str(v) for n, v in data.items()}
            self.snippets.append(Snippet(urljoin(self.url, script), data, code, nonce))


class Policies:
    """All policies of a page: what one of them forbids is forbidden. After Content Security
    Policy Level 3, sections 6.7.2 and 6.7.3, without paths of sources."""

    def __init__(self, texts: Sequence[str], page: str) -> None:
        self._page = urlsplit(page)
        self._all = [_directives(one) for text in texts for one in text.split(",")]

    def forbids_inline(self, snippet: Snippet) -> bool:
        return any(
            not _inline_allowed(sources, snippet)
            for sources in self._sources("script-src-elem", "script-src")
        )

    def forbids_script(self, snippet: Snippet) -> bool:
        """Whether the script file may not load."""
        for sources in self._sources("script-src-elem", "script-src"):
            nonced = snippet.nonce and f"'nonce-{snippet.nonce}'" in sources
            inserted = snippet.code is not None and "'strict-dynamic'" in sources
            if not (nonced or inserted or self._matches(sources, snippet.script)):
                return True
        return False

    def forbids_posts(self, url: str) -> bool:
        return any(not self._matches(sources, url) for sources in self._sources("connect-src"))

    def _sources(self, *names: str) -> list[list[str]]:
        found = []
        for directives in self._all:
            named = next((n for n in (*names, "default-src") if n in directives), None)
            if named:
                found.append(directives[named])
        return found

    def _matches(self, sources: list[str], url: str) -> bool:
        if "'strict-dynamic'" in sources:
            return False
        return any(self._source_matches(source, url) for source in sources)

    def _source_matches(self, source: str, url: str) -> bool:
        target = urlsplit(url)
        if source == "'self'":
            return (target.scheme, target.netloc) == (self._page.scheme, self._page.netloc)
        if source == "*" or source == f"{target.scheme}:":
            return True
        scheme, _, rest = source.rpartition("://")
        if scheme and scheme != target.scheme and (scheme, target.scheme) != ("http", "https"):
            return False
        host, _, port = rest.partition("/")[0].lower().partition(":")
        if port not in ("", "*", str(target.port or _port(target.scheme))):
            return False
        own = (target.hostname or "").lower()
        return own.endswith(host[1:]) and own != host[2:] if host.startswith("*.") else own == host


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _directives(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in text.split(";"):
        name, *sources = part.split() or [""]
        found.setdefault(name.lower(), sources)
    return found


def _inline_allowed(sources: list[str], snippet: Snippet) -> bool:
    strict = [s for s in sources if s.startswith(("'nonce-", "'sha"))]
    if snippet.nonce and f"'nonce-{snippet.nonce}'" in strict:
        return True
    code = (snippet.code or "").encode()
    for kind in ("sha256", "sha384", "sha512"):
        digest = base64.b64encode(hashlib.new(kind, code).digest()).decode()
        if f"'{kind}-{digest}'" in strict:
            return True
    return not strict and "'strict-dynamic'" not in sources and "'unsafe-inline'" in sources
