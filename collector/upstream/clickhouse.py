"""To ClickHouse, by its HTTP interface: one INSERT a batch, with a token by which the server
knows a batch that is sent again. `collector schema clickhouse` prints the table."""

from importlib import resources

import msgspec

from collector.fleet import Forward
from collector.upstream import clickhouse_erase as erase
from collector.upstream.http import Client, encoding, judge
from collector.upstream.sink import Batch, Name, Refusal


class _Found(msgspec.Struct):
    found: list[str]


class ClickHouse:
    form = "clickhouse"
    exact = False
    erases = True
    lanes = 1  # the token belongs to a batch as it was planned: one at a time

    def __init__(self, settings: Forward) -> None:
        self._url = settings.url
        self._table = f"`{settings.database}`.`{settings.table}`"
        self._insert = f"INSERT INTO {self._table} FORMAT JSONEachRow"
        headers = {"Content-Type": "application/x-ndjson"}
        if settings.username:
            headers["X-ClickHouse-User"] = settings.username
            headers["X-ClickHouse-Key"] = settings.password
        self._client = Client(settings, encoding(settings, "zstd"), headers)

    @property
    def sent_bytes(self) -> int:
        return self._client.sent_bytes

    async def send(self, batch: Batch) -> list[Refusal]:
        return await self._client.post(
            self._url,
            ("", "\n", "\n"),
            batch.rows,
            query=self._insert,
            insert_deduplicate="1",
            insert_deduplication_token=batch.token,
            async_insert="0",
            wait_end_of_query="1",
        )

    async def forget(self, known_as: str, names: list[Name]) -> None:
        """Done when it returns. Costs a mutation of the table, two where names are struck out."""
        for person in erase.persons(names):
            if person.emails:
                person.users += await self._found(erase.users_of(self._table, person))
            if person.users:
                person.was = await self._found(erase.visitors_of(self._table, person))
            await self._run(erase.delete(self._table, person), lightweight_deletes_sync="2")
            if strike := erase.strike(self._table, person):
                await self._run(strike, mutations_sync="2")

    async def _found(self, select: str) -> list[str]:
        said = await self._run(f"{select} FORMAT JSONEachRow")
        return msgspec.json.decode(said, type=_Found).found

    async def _run(self, sql: str, **settings: str) -> bytes:
        settings["wait_end_of_query"] = "1"
        status, said, retry_after = await self._client.ask(self._url, sql.encode(), **settings)
        judge(status, said, retry_after, 0)
        return said

    async def close(self) -> None:
        await self._client.close()


def schema(database: str = "default", table: str = "events", months: int = 25) -> str:
    """The statements that make the tables and views."""
    text = (resources.files("collector.upstream") / "clickhouse.sql").read_text("utf-8")
    for name, value in (("DATABASE", database), ("TABLE", table), ("MONTHS", str(months))):
        text = text.replace(f"{{{name}}}", value)
    return text
