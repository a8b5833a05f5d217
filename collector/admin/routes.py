"""The admin listener: the dashboard, its API and /metrics, behind the token."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from importlib import resources

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from collector.admin.auth import COOKIE, Sessions, Tries, has_token, known_host, same
from collector.admin.respond import answer_errors, denied, refused
from collector.config import Admin, split_listen

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ASSETS = {
    "/dashboard.js": "text/javascript",
    "/dashboard.css": "text/css",
}
_OPEN = {"/login", *ASSETS}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class QuietLog(logging.Filter):
    """Drops aiohttp's tracebacks of malformed requests: they quote what a stranger sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def server_log() -> logging.Logger:
    log = logging.getLogger(__name__)
    log.addFilter(QuietLog())
    return log


class Door:
    """Lets in who has the token or a session, and nobody whom another site has sent."""

    def __init__(self, token: str, settings: Admin) -> None:
        self._token = token
        self._sessions = Sessions(token, settings.session_hours)
        self._tries = Tries()
        host = split_listen(settings.listen)[0].lower()
        self._hosts = frozenset({host, *(name.lower() for name in settings.hosts)})

    def guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if has_token(request, self._token):
                return await answer_errors(request, handler)
            if not known_host(request.headers.get("Host", ""), self._hosts):
                return refused(421, "unknown_host", "add the name to the setting admin.hosts")
            if request.method not in ("GET", "HEAD") and _from_elsewhere(request):
                return refused(403, "foreign", "sent by the page of another site")
            if request.method == "POST" and not _may_act(request):
                return refused(403, "foreign", "send it as Content-Type: application/json")
            if request.path in _OPEN or self._sessions.holds(request.cookies.get(COOKIE, "")):
                return await answer_errors(request, handler)
            return page(status=401) if request.path == "/" else denied()

        return guard

    async def login(self, request: web.Request) -> web.Response:
        address = request.remote or ""
        if rest := self._tries.rest(address):
            return refused(429, "too_many", "too many wrong tokens", {"Retry-After": str(rest)})
        try:
            given = str((await request.json())["token"])
        except (ValueError, LookupError, TypeError, RecursionError):  # whatever was posted
            given = ""
        if not same(given, self._token):
            self._tries.note(address)
            return denied()
        response = web.Response(status=204)
        # No path: the browser takes the folder it sees, also behind a proxy's prefix.
        response.set_cookie(
            COOKIE,
            self._sessions.begin(),
            httponly=True,
            samesite="Strict",
            secure=request.secure or request.headers.get("X-Forwarded-Proto") == "https",
            path="",
        )
        return response

    async def logout(self, request: web.Request) -> web.Response:
        self._sessions.end(request.cookies.get(COOKIE, ""))
        response = web.Response(status=204)
        response.set_cookie(COOKIE, "", max_age=0, httponly=True, samesite="Strict", path="")
        return response


def _from_elsewhere(request: web.Request) -> bool:
    """A session's cookie is SameSite=Strict; this also refuses pages of sibling domains."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")


def _may_act(request: web.Request) -> bool:
    """What is done under /api/ must be JSON: the page of another origin cannot send that without
    asking first, and is told nothing. Over plain HTTP browsers do not say where it comes from."""
    return request.content_type == "application/json" or not request.path.startswith("/api/")


def make_app(
    token: str, settings: Admin, metrics: Callable[[], bytes], more: Iterable[web.RouteDef] = ()
) -> web.Application:
    """`metrics`: Prometheus' text; `more`: routes of other parts, behind the same token."""
    door = Door(token, settings)

    async def show_metrics(request: web.Request) -> web.Response:
        return web.Response(
            body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def show_page(request: web.Request) -> web.Response:
        return page()

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)
        response.headers["Server"] = "collector"

    app = web.Application(middlewares=[door.guard()], client_max_size=65536)
    app.on_response_prepare.append(add_headers)
    app.add_routes(
        [
            web.get("/", show_page),
            web.get("/metrics", show_metrics),
            web.post("/login", door.login),
            web.post("/logout", door.logout),
            *(web.get(path, asset) for path in ASSETS),
            *more,
        ]
    )
    return app


def _static(name: str) -> bytes:
    return (resources.files("collector") / "static" / name).read_bytes()


async def asset(request: web.Request) -> web.Response:
    response = web.Response(body=_static(request.path[1:]), content_type=ASSETS[request.path])
    response.enable_compression()
    return response


def page(status: int = 200) -> web.Response:
    """The dashboard's page, which shows the login where there is no session."""
    return web.Response(
        status=status,
        body=_static("dashboard.html"),
        content_type="text/html",
        charset="utf-8",
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else None,
    )
