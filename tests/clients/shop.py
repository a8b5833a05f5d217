"""The shop whose pages carry the browser clients: a small server of its own."""

from aiohttp import web

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


class Shop:
    """Serves what was added: pages, and scripts beside them."""

    def __init__(self) -> None:
        self.served: dict[str, tuple[str, bytes]] = {}
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)

    async def __aenter__(self) -> "Shop":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def page(self, path: str, head: str, title: str = "Shop") -> str:
        """Serves a page and returns its address."""
        html = (
            "<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>"
            f"<title>{title}</title>{head}<body></body>"
        )
        self.served[path] = ("text/html", html.encode())
        return self.url + path

    def script(self, path: str, body: bytes) -> str:
        self.served[path] = ("text/javascript", body)
        return self.url + path

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        kind, body = self.served.get(request.path, ("text/plain", b""))
        found = request.path in self.served
        return web.Response(body=body, content_type=kind, status=200 if found else 404)
