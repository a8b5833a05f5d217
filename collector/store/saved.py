"""Audiences made in the dashboard. They are kept in the database, beside those of the settings."""

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.config_audiences import AudienceConfig

_decoder = msgspec.json.Decoder(AudienceConfig)


def saved(connection: sqlite.Connection) -> list[AudienceConfig]:
    rows = connection.execute("SELECT definition FROM saved_audiences ORDER BY name").fetchall()
    return [_decoder.decode(text) for (text,) in rows]


def save(connection: sqlite.Connection, audience: AudienceConfig) -> None:
    text = msgspec.json.encode(audience).decode()
    connection.execute(
        "INSERT OR REPLACE INTO saved_audiences VALUES (?, ?)", (audience.name, text)
    )


def drop(connection: sqlite.Connection, name: str) -> None:
    connection.execute("DELETE FROM saved_audiences WHERE name = ?", (name,))
