"""To ClickHouse, by its HTTP interface: one INSERT a batch, with a token by which the server
knows a batch that is sent again. `collector schema clickhouse` prints the table."""

from importlib import resources

from collector.fleet import Forward
from collector.upstream.http import Client, encoding
from collector.upstream.sink import Batch, Refusal


class ClickHouse:
    form = "clickhouse"
    exact = False
    lanes = 1  # the token belongs to a batch as it was planned: one at a time

    def __init__(self, settings: Forward) -> None:
        self._url = settings.url
        self._insert = f"INSERT INTO `{settings.database}`.`{settings.table}` FORMAT JSONEachRow"
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

    async def close(self) -> None:
        await self._client.close()


def schema(database: str = "default", table: str = "events", months: int = 25) -> str:
    """The statements that make the tables and views."""
    text = (resources.files("collector.upstream") / "clickhouse.sql").read_text("utf-8")
    for name, value in (("DATABASE", database), ("TABLE", table), ("MONTHS", str(months))):
        text = text.replace(f"{{{name}}}", value)
    return text
