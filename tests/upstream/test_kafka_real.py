"""A real Kafka, killed and started again while events come in.

Needs Java and, in KAFKA_LIB, a folder of the jars of org.apache.kafka:kafka_2.13 (`mvn
dependency:copy-dependencies`); without it, test_kafka.py speaks to librdkafka's brokers only.
"""

import asyncio
import json
import os
import signal
import socket
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.conftest import Collector
from tests.faults.harness import free_ports
from tests.upstream.conftest import Brokers, until

Fill = Callable[..., Awaitable[None]]
JARS = os.environ.get("KAFKA_LIB", "")
pytestmark = pytest.mark.skipif(not JARS, reason="KAFKA_LIB names no folder of Kafka's jars")


class Kafka(Brokers):
    """One broker that is its own controller."""

    def __init__(self, folder: Path) -> None:
        self.port, controller = free_ports(2)
        self.servers = [f"127.0.0.1:{self.port}"]
        self._folder = folder
        self._properties = folder / "server.properties"
        self._properties.write_text(
            "process.roles=broker,controller\nnode.id=1\nnum.partitions=4\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}\n"
            "controller.listener.names=CONTROLLER\n"
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
            f"log.dirs={folder / 'kafka'}\noffsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
        )
        self._process: Process

    async def _java(self, *words: str) -> Process:
        with (self._folder / "kafka.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *("java", "-Xmx512m", "-cp", f"{JARS}/*", *words), stdout=log, stderr=log
            )

    async def format(self) -> None:
        words = ("format", "-t", "abcdefghijklmnopqrstuw", "-c", str(self._properties))
        assert await (await self._java("kafka.tools.StorageTool", *words)).wait() == 0

    async def start(self) -> None:
        self._process = await self._java("kafka.Kafka", str(self._properties))

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        await until(listens)

    async def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


async def test_a_broker_killed_in_between_has_each_event_once(
    idle: Collector, fill: Fill, tmp_path: Path
) -> None:
    kafka = Kafka(tmp_path)
    await kafka.format()
    await kafka.start()
    try:
        to = {"name": "bus", "kind": "kafka", "servers": kafka.servers, "topic": "events"}
        await idle.start(forward=[to | {"linger_s": 0.0, "retry_s": 0.5, "timeout_s": 30.0}])
        forwarder = idle.app.forwarding.forwarders[0]
        for round_ in range(3):
            await fill(idle, 2000, first=round_ * 4000)
            await until(lambda: forwarder.counts.in_flight > 0 or forwarder.follower.lag == 0)
            await kafka.kill()
            await fill(idle, 2000, first=round_ * 4000 + 2000)
            await kafka.start()
        await until(lambda: forwarder.follower.lag == 0)
        messages = await asyncio.to_thread(kafka.read, "events", 12_000)
    finally:
        await kafka.kill()
    values = [json.loads(message.value()) for message in messages]
    counts = Counter(value["message_id"] for value in values)
    assert len(counts) == 12_000
    assert set(counts.values()) == {1}
    last: dict[str, int] = {}
    for value in values:
        assert value["seq"] > last.get(value["anonymous_id"], 0)
        last[value["anonymous_id"]] = value["seq"]
