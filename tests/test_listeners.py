"""The collector's own certificate, and its renewal while it runs."""

import socket
import ssl
import time
from pathlib import Path

import pytest

from collector.config_http import Http
from collector.errors import CollectorError
from collector.listeners import Certificate
from tests.certificates import make
from tests.faults.harness import Collector


def settings(folder: Path) -> Http:
    return Http(tls_certificate=str(folder / "cert.pem"), tls_key=str(folder / "key.pem"))


def shown_name(context: ssl.SSLContext) -> str:
    """Whom a server with this context says that it is."""
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    asking = client.wrap_bio(ours, theirs)
    answering = context.wrap_bio(theirs, ours, server_side=True)
    for _ in range(4):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    shown = asking.getpeercert(binary_form=True)
    assert shown
    return "new" if b"new.example" in shown else "old"


def test_a_changed_certificate_is_taken_and_half_a_pair_is_not(tmp_path: Path) -> None:
    make(tmp_path, "old.example")
    certificate = Certificate(settings(tmp_path))
    assert shown_name(certificate.context) == "old"
    (tmp_path / "new").mkdir()
    make(tmp_path / "new", "new.example")
    (tmp_path / "new" / "cert.pem").replace(tmp_path / "cert.pem")
    certificate.look()
    assert shown_name(certificate.context) == "old"
    (tmp_path / "new" / "key.pem").replace(tmp_path / "key.pem")
    certificate.look()
    assert shown_name(certificate.context) == "new"


def test_a_certificate_that_cannot_be_read_is_an_error_that_names_the_setting(
    tmp_path: Path,
) -> None:
    with pytest.raises(CollectorError, match=r"http\.tls_certificate"):
        Certificate(settings(tmp_path))


async def test_events_come_in_over_https(tmp_path: Path) -> None:
    make(tmp_path, "localhost")
    http = settings(tmp_path)
    collector = Collector(
        tmp_path, http__tls_certificate=http.tls_certificate, http__tls_key=http.tls_key
    )
    await collector.spawn()
    try:
        context = ssl.create_default_context(cafile=http.tls_certificate)
        with (
            connected(collector) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            body = b'{"writeKey":"%s","userId":"u","event":"A"}' % collector.key.encode()
            secure.sendall(
                b"POST /v1/track HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            assert secure.recv(4096).endswith(b'{"success":true}')
        assert len(collector.rows()) == 1
    finally:
        await collector.__aexit__()


def connected(collector: Collector) -> socket.socket:
    for _ in range(600):
        if "Listening" in collector.said():
            break
        time.sleep(0.05)
    return socket.create_connection(collector.address, timeout=30)
