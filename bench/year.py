"""A database with a year of a shop's visits, written by SQL alone, for `dashboard`.

Events are spread evenly over 365 days and drawn evenly over the people, which is harder than
life: hardly two events that follow each other are of one visitor. 75 % are page views over 2,000
paths (the lower ones more often), 45 % of them without a referrer, the others from 200 hosts,
10 % by one of 40 campaigns; 20 % `Product Viewed`, 2 % each of two more, 0.5 % purchases, 0.5 %
leads. 30 user agents, one of them a bot's. A fifth of the people are known by a user id.
"""

import time
from pathlib import Path

import msgspec
from pysqlite3 import dbapi2 as sqlite

from bench.console import Progress
from collector.people.identity import ANONYMOUS, USER, number

SITE = "bench"
DAYS = 365
_PIECE = 250_000
_SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "Linux; Android 10; K",
    "Windows NT 6.1; Win64; x64",
    "X11; CrOS x86_64 14541.0.0",
)
_ENGINES = (
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
    "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Gecko/20100101 Firefox/145.0",
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0",
)
_BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

_EVENTS = """INSERT INTO events (seq, message_id, site, type, event, user_id, anonymous_id,
    timestamp, received_at, url, path, referrer, properties, user_agent, bot, node_id, node_seq)
  WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2),
  drawn AS MATERIALIZED (SELECT i, abs(random() % ?3) AS who, abs(random() % 1000) AS kind,
    min(abs(random() % 2000), abs(random() % 2000)) AS part, abs(random() % 1000) AS way,
    abs(random() % 30) AS agent FROM n)
  SELECT i, printf('bench-%032d', i), 'bench', iif(kind < 750, 'page', 'track'),
    CASE WHEN kind < 750 THEN NULL WHEN kind < 950 THEN 'Product Viewed' WHEN kind < 970
      THEN 'Signed Up' WHEN kind < 990 THEN 'Support Asked' WHEN kind < 995 THEN 'Lead Captured'
      ELSE 'Order Completed' END,
    iif(who % 5, NULL, 'u' || who), 'a' || who, ?4 + i * ?5 / 1000, ?4 + i * ?5 / 1000,
    'https://shop.example/p/' || part || iif(way % 10, '', '?utm_campaign=c' || (way / 25)),
    '/p/' || part, iif(way < 450, NULL, 'https://r' || (way % 200) || '.example/'),
    CASE WHEN kind >= 995 THEN json_object('total', part / 10.0, 'currency', 'EUR', 'order_id',
      'o' || i) WHEN kind >= 990 THEN json_object('email', 'l' || i || '@example.org') WHEN
      kind >= 750 THEN json_object('product_id', part, 'name', 'A product') END,
    text, iif(agent = 29, 1, NULL), 'bench', i FROM drawn CROSS JOIN temp.agents ON place = agent"""
_KEYS = """INSERT INTO event_keys (seq, key, anonymous)
  SELECT e.seq, iif(e.user_id IS NULL, NULL, w.number), iif(e.user_id IS NULL, w.number, NULL)
  FROM events AS e CROSS JOIN temp.who AS w
    ON w.place = CAST(substr(e.anonymous_id, 2) AS INTEGER)
  WHERE e.seq BETWEEN ?1 AND ?2"""
_BLOCKS = """INSERT OR REPLACE INTO event_blocks SELECT seq >> 10, max(timestamp) FROM events
  WHERE seq BETWEEN ?1 & ~1023 AND ?2 GROUP BY 1"""
_PURCHASES = """INSERT INTO purchases (seq, message_id, site, person, timestamp, event, order_id,
    currency, total_micros, counted, cart, key)
  SELECT e.seq, e.message_id, e.site, coalesce(k.key, k.anonymous), e.timestamp, e.event,
    e.properties ->> 'order_id', 'EUR', round((e.properties ->> 'total') * 1000000), 1, '', k.key
  FROM events AS e CROSS JOIN event_keys AS k ON k.seq = e.seq
  WHERE e.seq BETWEEN ?1 AND ?2 AND e.event = 'Order Completed'"""
_ITEMS = """INSERT INTO purchase_items (seq, position, product_id, name, category, price_micros,
    quantity) SELECT seq, 0, seq % 500, 'Product ' || seq % 500, 'Category ' || seq % 20,
    total_micros, 1 FROM purchases WHERE seq BETWEEN ?1 AND ?2"""
_LEADS = """INSERT INTO leads (site, email, person, timestamp, message_id, source, last_at, times)
  SELECT e.site, e.properties ->> 'email', coalesce(k.key, k.anonymous), e.timestamp, e.message_id,
    'Footer', e.timestamp, 1
  FROM events AS e CROSS JOIN event_keys AS k ON k.seq = e.seq
  WHERE e.seq BETWEEN ?1 AND ?2 AND e.event = 'Lead Captured'"""
_PIECES = (_KEYS, _BLOCKS, _PURCHASES, _ITEMS, _LEADS)
_PERSON_KEYS = """INSERT INTO person_keys (number, site, kind, value, person, shared, first_seen,
    last_seen, trusted)
  SELECT number, 'bench', iif(place % 5, 'anonymous', 'user'),
    iif(place % 5, 'a', 'u') || place, number, 0, ?1, ?1 + place, 1 FROM temp.who ORDER BY number"""
_ROWS = """INSERT INTO people (number, site, user_id, email, traits, first_seen, last_seen, trusted)
  SELECT number, 'bench', iif(place % 5, NULL, 'u' || place),
    iif(place % 5, NULL, 'u' || place || '@example.com'),
    iif(place % 5, NULL, '{"plan":"' || iif(place % 3, 'free', 'pro') || '"}'), ?1, ?1 + place, 1
  FROM temp.who ORDER BY number"""


def fill(path: Path, people: int, events: int) -> None:
    """Into a database that a collector has made; its projector and audiences are done with all of
    it."""
    connection = sqlite.connect(path, isolation_level=None)
    for pragma in ("synchronous = OFF", "cache_size = -200000", "wal_autocheckpoint = 20000"):
        connection.execute(f"PRAGMA {pragma}")
    _draw(connection, people)
    now = int(time.time() * 1000)
    begun, step = now - DAYS * 86_400_000, DAYS * 86_400_000 * 1000 // events
    progress = Progress(f"{events:,} events of {people:,} people", 0)
    for first in range(1, events + 1, _PIECE):
        last = min(first + _PIECE - 1, events)
        connection.execute("BEGIN")
        connection.execute(_EVENTS, (first, last, people, begun, step))
        for statement in _PIECES:
            connection.execute(statement, (first, last))
        connection.execute("COMMIT")
        progress.tick(f"{last:,}")
    connection.execute("BEGIN")
    connection.execute(_PERSON_KEYS, (begun,))
    connection.execute(_ROWS, (begun,))
    for name in ("projector", "visits", "audiences"):
        connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (name, events))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    progress.end("filled")


def _draw(connection: sqlite.Connection, people: int) -> None:
    """The people and user agents, by number."""
    connection.execute("CREATE TABLE temp.who (place INTEGER PRIMARY KEY, number INTEGER)")
    connection.execute("CREATE TABLE temp.agents (place INTEGER PRIMARY KEY, text TEXT)")
    agents = [f"Mozilla/5.0 ({system}) {engine}" for system in _SYSTEMS for engine in _ENGINES]
    agents[-1] = _BOT
    _insert(connection, "temp.agents", list(enumerate(agents)))
    for start in range(0, people, 100_000):
        places = range(start, min(start + 100_000, people))
        _insert(connection, "temp.who", [(place, _number(place)) for place in places])


def _insert(connection: sqlite.Connection, table: str, rows: list[tuple[int, object]]) -> None:
    text = msgspec.json.encode(rows).decode()
    connection.execute(
        f"INSERT INTO {table} SELECT value ->> 0, value ->> 1 FROM json_each(?)", (text,)
    )


def _number(place: int) -> int:
    return number(SITE, ANONYMOUS if place % 5 else USER, f"{'a' if place % 5 else 'u'}{place}")
