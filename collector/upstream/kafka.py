"""To Kafka: an idempotent producer, acknowledged by all replicas, keyed by visitor.

A visitor's events are in one partition, in order. Within a run the broker drops what the
producer repeats; after a kill the batch under way is sent again, and a consumer knows it by the
field `message_id` of the value.
"""

import asyncio
import ssl
from typing import Any

from collector.errors import CollectorError
from collector.fleet import Forward
from collector.upstream.http import encoding
from collector.upstream.sink import Batch, Denied, Name, Refusal, TooLarge, Unreached

try:
    from aiokafka import AIOKafkaProducer
    from aiokafka import errors as kafka_errors
except ImportError:  # an extra
    AIOKafkaProducer = None


class Kafka:
    form = "columns"
    exact = False
    lanes = 1
    erases = False

    def __init__(self, settings: Forward) -> None:
        if AIOKafkaProducer is None:
            raise CollectorError(
                f"forward {settings.name}: Kafka needs aiokafka: "
                "pip install '.[kafka]' in the checkout"
            )
        self._settings = settings
        self._producer: Any = None
        self._done: set[int] = set()  # of the batch under way
        self.sent_bytes = 0

    async def send(self, batch: Batch) -> list[Refusal]:
        try:
            producer = await self._open()
            await self._produce(producer, batch)
        except (
            kafka_errors.TopicAuthorizationFailedError,
            kafka_errors.ClusterAuthorizationFailedError,
            kafka_errors.AuthenticationFailedError,
        ) as error:
            await self.close()
            raise Denied(_words(error)) from None
        except kafka_errors.MessageSizeTooLargeError as error:
            raise TooLarge(_words(error)) from None
        except (kafka_errors.KafkaError, OSError, TimeoutError) as error:
            if not getattr(error, "retriable", True):
                await self.close()  # a producer that was fenced, or out of step, is made anew
            raise Unreached(_words(error)) from None
        return []

    async def _produce(self, producer: Any, batch: Batch) -> None:
        """Send what the broker has not yet confirmed of the batch; in order, and all at once."""
        waiting = {}
        for row in batch.rows:
            if row.seq not in self._done:
                value = row.text.encode()
                self.sent_bytes += len(value)
                key = row.visitor.encode("utf-8", "replace")
                waiting[row.seq] = await producer.send(self._settings.topic, value, key)
        results = await asyncio.gather(*waiting.values(), return_exceptions=True)
        failures = []
        for seq, result in zip(waiting, results, strict=True):
            if isinstance(result, BaseException):
                failures.append(result)
            else:
                self._done.add(seq)
        if failures:
            raise failures[0]
        self._done.clear()

    async def _open(self) -> Any:
        if self._producer is None:
            settings = self._settings
            compression = encoding(settings, "zstd")
            producer = AIOKafkaProducer(
                bootstrap_servers=list(settings.servers),
                enable_idempotence=True,
                acks="all",
                compression_type=None if compression == "none" else compression,
                linger_ms=20,
                max_batch_size=262_144,
                max_request_size=1_048_576,
                request_timeout_ms=int(settings.timeout_s * 1000),
                security_protocol=settings.security.upper(),
                ssl_context=_tls(settings) if "ssl" in settings.security else None,
                sasl_mechanism=settings.sasl,
                sasl_plain_username=settings.username or None,
                sasl_plain_password=settings.password or None,
                client_id="collector",
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def forget(self, known_as: str, names: list[Name]) -> None:
        raise NotImplementedError("what was written here is the operator's to erase")

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


def _tls(settings: Forward) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file or None)
    return context


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
