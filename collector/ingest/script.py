"""The pixel's files, as the package holds them: compressed once, at start.

Each stands under a stable name, kept by browsers for an hour, and beside it under a name with
its version, kept for a year: /c.js and /c-VERSION.js. A page that names a version which this
collector does not have is given the present one, and for an hour only: an update here must not
take the script away from anybody.
"""

import gzip
import hashlib
import re
from importlib import resources

import brotli
from aiohttp import web

from collector.config import Config
from collector.ingest import respond

_SHORT = "public, max-age=3600, stale-while-revalidate=86400"
_LONG = "public, max-age=31536000, immutable"
_VERSIONED = re.compile(r"(.*)-([0-9a-f]{16})(\.js)")
_SECOND = "c2.js"
_SEGMENT = re.compile(r"/analytics\.js/v1/[^/]+/(?:analytics(?:\.min)?|(c2))\.js")


class Script:
    """A file, after those that go before it."""

    def __init__(self, *names: str) -> None:
        static = resources.files("collector") / "static"
        plain = b"".join((static / name).read_bytes() for name in names)
        self.version = hashlib.sha256(plain).hexdigest()[:16]
        self._bodies = {
            "br": brotli.compress(plain, quality=11),
            "gzip": gzip.compress(plain, 9, mtime=0),
            "identity": plain,
        }

    def response(self, request: web.BaseRequest, cache: str) -> web.Response:
        etag = f'W/"{self.version}"'  # weak: the bytes differ by encoding
        headers = {
            "Server": respond.SERVER,
            "Content-Type": "text/javascript; charset=utf-8",
            "Cache-Control": cache,
            "ETag": etag,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
            "Access-Control-Allow-Origin": "*",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        if f'"{self.version}"' in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        encoding = _best(request.headers.get("Accept-Encoding", ""))
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
        return web.Response(body=self._bodies[encoding], headers=headers)


class Scripts:
    """Which file a path names."""

    def __init__(self, config: Config) -> None:
        main, path = Script("c.js"), config.http.script_path
        self._files = {"/pixel.js": main, path: main}
        self._segment = Script("segment.js", "c.js") if config.clients.segment else None
        if (resources.files("collector") / "static" / _SECOND).is_file():
            second = Script(_SECOND)
            # The script looks for its second file beside itself, whatever it is called.
            self._files |= {f"{path.rpartition('/')[0]}/{_SECOND}": second, f"/{_SECOND}": second}

    def response(self, path: str, request: web.BaseRequest) -> web.Response | None:
        """The answer to GET or HEAD of `path`; None when it names no script."""
        version = None
        script = self._files.get(path)
        if script is None and (named := _VERSIONED.fullmatch(path)):
            version, script = named[2], self._files.get(named[1] + named[3])
        if script is None and self._segment and (found := _SEGMENT.fullmatch(path)):
            script = self._files.get(f"/{_SECOND}") if found[1] else self._segment
        if script is None:
            return None
        return script.response(request, _LONG if version == script.version else _SHORT)


def _best(accepted: str) -> str:
    """The smallest encoding that an Accept-Encoding allows."""
    allowed = set()
    for part in accepted.lower().split(","):
        name, _, weight = part.replace(" ", "").partition(";")
        if not re.fullmatch(r"q=0(\.0*)?", weight):
            allowed.add(name)
    return next((name for name in ("br", "gzip") if name in allowed), "identity")
