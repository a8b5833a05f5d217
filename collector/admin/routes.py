"""The admin listener: /metrics and a plain status page, behind the token."""

import html
import logging
from collections.abc import Awaitable, Callable, Iterable
from importlib import resources

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from collector.admin.auth import COOKIE, is_admin, same

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_OPEN = {"/login", "/admin.js", "/admin.css"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class QuietLog(logging.Filter):
    """Drops aiohttp's tracebacks of malformed requests: they quote what a stranger sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def server_log() -> logging.Logger:
    log = logging.getLogger(__name__)
    log.addFilter(QuietLog())
    return log


def make_app(
    token: str,
    metrics: Callable[[], bytes],
    status: Callable[[], dict[str, str]],
    more: Iterable[web.RouteDef] = (),
) -> web.Application:
    """`status` gives the rows of the status page, `metrics` Prometheus' text; `more`: routes of
    other parts, behind the same token."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN and not is_admin(request, token):
            return _login_page() if request.path == "/" else _denied()
        return await handler(request)

    async def show_metrics(request: web.Request) -> web.Response:
        return web.Response(
            body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def show_status(request: web.Request) -> web.Response:
        if "application/json" in request.headers.get("Accept", ""):
            return web.json_response(status())
        rows = "".join(
            f"<tr><th scope=row>{html.escape(name)}<td>{html.escape(value)}"
            for name, value in status().items()
        )
        return _page(f"<h1>Collector</h1><table>{rows}</table><p><a href=metrics>metrics</a>")

    async def login(request: web.Request) -> web.Response:
        try:
            given = str((await request.json())["token"])
        except (ValueError, LookupError, TypeError, RecursionError):  # whatever was posted
            given = ""
        if not same(given, token):
            return _denied()
        response = web.Response(status=204)
        response.set_cookie(
            COOKIE, token, httponly=True, samesite="Strict", secure=request.secure, path="/"
        )
        return response

    async def asset(request: web.Request) -> web.Response:
        body = (resources.files("collector") / "static" / request.path[1:]).read_bytes()
        kind = "text/javascript" if request.path.endswith(".js") else "text/css"
        return web.Response(body=body, content_type=kind)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS)
        response.headers["Server"] = "collector"

    app = web.Application(middlewares=[guard], client_max_size=4096)
    app.on_response_prepare.append(add_headers)
    app.add_routes(
        [
            web.get("/", show_status),
            web.get("/metrics", show_metrics),
            web.post("/login", login),
            web.get("/admin.js", asset),
            web.get("/admin.css", asset),
            *more,
        ]
    )
    return app


def _denied() -> web.Response:
    return web.json_response(
        {"success": False, "code": "unauthorized", "message": "admin token needed"},
        status=401,
        headers={"WWW-Authenticate": "Bearer"},
    )


def _login_page() -> web.Response:
    return _page(
        "<h1>Collector</h1><form id=login><label for=token>Admin token</label> "
        "<input id=token type=password autocomplete=current-password required> "
        "<button>Log in</button><p id=said role=alert></p></form>"
        "<p>The token stands in the file <code>admin-token</code> in the data folder.",
        status=401,
    )


def _page(body: str, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        content_type="text/html",
        charset="utf-8",
        text="<!doctype html><html lang=en><meta charset=utf-8><title>Collector</title>"
        "<meta name=viewport content='width=device-width'>"
        f"<link rel=stylesheet href=admin.css><script src=admin.js defer></script><body>{body}",
    )
