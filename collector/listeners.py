"""The two listeners: where they listen, what they speak, how they end. Part of app.py, on its
floor."""

import asyncio
import contextlib
import errno
import logging
import os
import ssl
from pathlib import Path

from aiohttp import web

from collector import compiled, manager
from collector.admin.routes import server_log
from collector.config import Config, split_listen
from collector.config_http import Http
from collector.errors import CollectorError
from collector.ingest import lane
from collector.ingest.lane import IngestServer
from collector.ingest.routes import Routes
from collector.ingest.service import Service

log = logging.getLogger(__name__)

# What outlasts App._drain is abandoned: aiohttp, which waits 60 s of its own, need not.
_SHUTDOWN_S = 0.1
_LOOK_S = 10.0


def ingest_server(
    http: Http, routes: Routes, service: Service, hot: bool, **more: object
) -> IngestServer:
    """The public listener's, within the limits of the settings; `more` goes to aiohttp."""
    return IngestServer(
        routes,
        service,
        hot=hot,
        max_connections=http.max_connections,
        rest_s=http.refused_rest_s,
        unread_s=http.unread_timeout_s,
        keepalive_timeout=http.keepalive_s,
        max_line_size=8190,
        max_field_size=http.max_header_bytes,
        max_headers=http.max_headers,
        read_bufsize=65536,
        lingering_time=1.0,
        access_log=None,
        **more,
    )


class Listeners:
    """Sockets handed over by a service manager are used in place of the addresses in the
    settings: they stay open over a restart, so that no connection is refused meanwhile."""

    def __init__(self) -> None:
        self._handed_over = manager.handed_over()
        self._runners: list[web.BaseRunner] = []
        self._certificate: Certificate | None = None
        self._watch: asyncio.Task[None] | None = None

    async def public(self, config: Config, routes: Routes, service: Service) -> IngestServer:
        http = config.http
        hot = http.hot_lane
        if hot and (reason := lane.unsupported()):
            log.warning("the hot lane is off: %s", reason)
            hot = False
        if http.hot_lane and not compiled.COMPILED:
            log.warning(
                "collector._compiled was not compiled: all is the same, at half the rate; install "
                "a C compiler and Python's headers (python3-dev), and then this again"
            )
        server = ingest_server(http, routes, service, hot)
        if http.tls_certificate:
            self._certificate = Certificate(http)
            self._certificate.start()
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await self._listen(runner, "public", http.listen, "http.listen", http.backlog)
        self._watch = asyncio.create_task(server.watch(), name="unread answers")
        return server

    async def admin(self, config: Config, app: web.Application) -> None:
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # strangers can reach the login; nobody need send it less
            keepalive_timeout=20.0,
            logger=server_log(),
            shutdown_timeout=_SHUTDOWN_S,
        )
        await self._listen(runner, "admin", config.admin.listen, "admin.listen", 128)

    @property
    def ports(self) -> list[int]:
        """Of the public and the admin listener."""
        return [int(runner.addresses[0][1]) for runner in self._runners]

    async def close(self) -> None:
        """Take no new connection."""
        for runner in self._runners:
            for site in list(runner.sites):
                await site.stop()

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        if self._watch:
            self._watch.cancel()
        if self._certificate:
            await self._certificate.stop()

    async def _listen(
        self, runner: web.BaseRunner, name: str, listen: str, setting: str, backlog: int
    ) -> None:
        await runner.setup()
        self._runners.append(runner)
        host, port = split_listen(listen)
        tls = self._certificate.context if self._certificate and name == "public" else None
        given = self._handed_over.get(name)
        site: web.BaseSite
        if given:
            site = web.SockSite(runner, given, ssl_context=tls, backlog=backlog)
        else:
            site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=backlog)
        try:
            await site.start()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            if error.errno == errno.EADDRINUSE:
                why += f"; choose another (--{'listen' if name == 'public' else name})"
            raise CollectorError(f"{setting}: cannot listen on {listen}: {why}") from None


class Certificate:
    """The files of http.tls_certificate and http.tls_key, read again when they have changed: new
    connections get the new certificate. Raises CollectorError when they cannot be read at start."""

    def __init__(self, http: Http) -> None:
        self._files = Path(http.tls_certificate), Path(http.tls_key)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.set_alpn_protocols(["http/1.1"])
        self._read_at = self._changed_at()
        self._task: asyncio.Task[None] | None = None
        try:
            self._read()
        except OSError as error:
            why = error.strerror or str(error)
            raise CollectorError(f"http.tls_certificate, http.tls_key: {why}") from None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="certificate")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def look(self) -> None:
        """Read the files when they are others than before."""
        changed_at = self._changed_at()
        if changed_at == self._read_at:
            return
        try:
            self._read()
        except OSError as error:  # half of the pair is new: looked at again
            log.warning("the new certificate cannot be used, the old one stays: %s", error)
            return
        self._read_at = changed_at
        log.info("http.tls_certificate: the new certificate is in use")

    def _changed_at(self) -> list[int]:
        with contextlib.suppress(OSError):
            return [file.stat().st_mtime_ns for file in self._files]
        return []

    def _read(self) -> None:
        """Into a context of its own first: a pair that does not fit leaves the old one in use."""
        certificate, key = self._files
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
        self.context.load_cert_chain(certificate, key)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()
