"""A database with a shop's history: people, their events, purchases, written by SQL alone.

A fifth of the people are known by a user id with an address, the others are anonymous. Events
are spread evenly over 60 days and drawn evenly over the people, which is harder than life: no
two events that follow each other are of one visitor. 70 % are page views over 2,000 paths (3 %
of them below /pricing), 20 % `Product Viewed`, 3 % `Signed Up`, 5 % `Order Completed` with total
and currency, 2 % `Support Asked`.
"""

import time
from pathlib import Path
from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from bench.console import Progress
from collector.people.identity import ANONYMOUS, USER, number

SITE = "bench"
_PIECE = 500_000
DAYS = 60

_PEOPLE = """INSERT INTO temp.who SELECT value ->> 0, value ->> 1 FROM json_each(?)"""
_EVENTS = """INSERT INTO events (seq, message_id, site, type, event, user_id, anonymous_id,
    timestamp, received_at, url, path, properties, context, node_id, node_seq)
  WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2),
  drawn AS MATERIALIZED (SELECT i, abs(random() % ?3) AS who, abs(random() % 100) AS kind,
    abs(random() % 2000) AS part FROM n)
  SELECT i, printf('bench-%032d', i), 'bench', iif(kind < 70, 'page', 'track'),
    CASE WHEN kind < 70 THEN NULL WHEN kind < 90 THEN 'Product Viewed' WHEN kind < 93
      THEN 'Signed Up' WHEN kind < 98 THEN 'Order Completed' ELSE 'Support Asked' END,
    iif(who % 5, NULL, 'u' || who), 'a' || who, ?4 + i * ?5 / 1000, ?4 + i * ?5 / 1000,
    'https://shop.example/p/' || part || '?utm_source=mail',
    iif(part < 60, '/pricing/' || part, '/p/' || part),
    iif(kind BETWEEN 93 AND 97, json_object('total', part / 10.0, 'currency', 'EUR',
      'order_id', 'o' || i), json_object('product_id', part, 'name', 'A product of the shop')),
    json_object('library', json_object('name', 'bench'), 'locale', 'en-GB',
      'page', json_object('path', '/p/' || part, 'title', 'A page of the shop')),
    'bench', i FROM drawn"""
_KEYS = """INSERT INTO event_keys (seq, key, anonymous)
  SELECT e.seq, iif(e.user_id IS NULL, NULL, w.number), iif(e.user_id IS NULL, w.number, NULL)
  FROM events AS e CROSS JOIN temp.who AS w
    ON w.place = CAST(substr(e.anonymous_id, 2) AS INTEGER)
  WHERE e.seq BETWEEN ?1 AND ?2"""
_PURCHASES = """INSERT INTO purchases (seq, message_id, site, person, timestamp, event, order_id,
    currency, total_micros, counted, cart, key)
  SELECT e.seq, e.message_id, e.site, coalesce(k.key, k.anonymous), e.timestamp, e.event,
    e.properties ->> 'order_id', 'EUR', round((e.properties ->> 'total') * 1000000), 1, '', k.key
  FROM events AS e CROSS JOIN event_keys AS k ON k.seq = e.seq
  WHERE e.seq BETWEEN ?1 AND ?2 AND e.event = 'Order Completed'"""
_PERSON_KEYS = """INSERT INTO person_keys (number, site, kind, value, person, shared, first_seen,
    last_seen, trusted)
  SELECT number, 'bench', iif(place % 5, 'anonymous', 'user'),
    iif(place % 5, 'a', 'u') || place, number, 0, ?1, ?1, 1 FROM temp.who ORDER BY number"""
_ROWS = """INSERT INTO people (number, site, user_id, email, traits, first_seen, last_seen, trusted)
  SELECT number, 'bench', iif(place % 5, NULL, 'u' || place),
    iif(place % 5, NULL, 'u' || place || '@example.com'),
    iif(place % 5, NULL, '{"plan":"' || iif(place % 3, 'free', 'pro') || '"}'), ?1, ?1, 1
  FROM temp.who ORDER BY number"""


def fill(path: Path, people: int, events: int) -> None:
    """Into a database that a collector has made; its projector is done with all of it."""
    connection = sqlite.connect(path, isolation_level=None)
    for pragma in ("synchronous = OFF", "cache_size = -400000", "wal_autocheckpoint = 20000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE temp.who (place INTEGER PRIMARY KEY, number INTEGER)")
    for start in range(0, people, 100_000):
        places = range(start, min(start + 100_000, people))
        rows = [(place, _number(place)) for place in places]
        connection.execute(_PEOPLE, (msgspec.json.encode(rows).decode(),))
    now = int(time.time() * 1000)
    begun, step = now - DAYS * 86_400_000, DAYS * 86_400_000 * 1000 // events
    progress = Progress(f"{events:,} events of {people:,} people", 0)
    for first in range(1, events + 1, _PIECE):
        last = min(first + _PIECE - 1, events)
        connection.execute("BEGIN")
        connection.execute(_EVENTS, (first, last, people, begun, step))
        connection.execute(_KEYS, (first, last))
        connection.execute(_PURCHASES, (first, last))
        connection.execute("COMMIT")
        progress.tick()
    connection.execute("BEGIN")
    connection.execute(_PERSON_KEYS, (begun,))
    connection.execute(_ROWS, (begun,))
    connection.execute("INSERT OR REPLACE INTO cursors VALUES ('projector', ?)", (events,))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    progress.end("filled")


def _number(place: int) -> int:
    return number(SITE, ANONYMOUS if place % 5 else USER, f"{'a' if place % 5 else 'u'}{place}")


def audiences() -> list[dict[str, Any]]:
    """Twenty audiences of every kind of rule."""
    pricing = {"page": "/pricing*", "within": "7d"}
    bought = {"event": "purchase", "within": "7d"}
    spent = {"event": "purchase", "within": "30d", "sum": {"op": "gte", "value": 200}}
    order = {"event": "purchase", "where": [{"property": "total", "op": "gt", "value": 150}]}
    rules: dict[str, Any] = {
        "saw-pricing": {"all": [pricing, {"not": bought}]},
        "buyers-7d": bought,
        "big-spenders": spent,
        "lapsed": {"all": [{"event": "purchase", "to": "30d"},
                           {"not": {"event": "purchase", "within": "30d"}}]},
        "signed-up": {"event": "Signed Up", "within": "1d"},
        "funnel": {"sequence": [{"page": "/pricing*"}, {"event": "Signed Up"}], "within": "7d"},
        "dropped-out": {"sequence": [{"page": "/pricing*"}, {"event": "Signed Up"},
                                     {"not": {"event": "purchase"}}], "within": "7d"},
        "pro": {"trait": "plan", "op": "eq", "value": "pro"},
        "pro-with-pricing": {"all": [{"trait": "plan", "op": "eq", "value": "pro"},
                                     {"page": "/pricing/1*", "within": "30d"}]},
        "support": {"event": "Support Asked", "within": "7d"},
        "support-often": {"event": "Support Asked", "count": {"op": "gte", "value": 3}},
        "one-page": {"page": "/p/77", "within": "30d"},
        "large-order": order,
        "reachable": {"all": [{"trait": "email", "op": "exists"}, pricing]},
        "two-orders": {"event": "purchase", "count": {"op": "gte", "value": 2}, "within": "60d"},
        "new-buyers": {"all": [bought, {"not": {"event": "purchase", "to": "7d"}}]},
        "support-then-order": {"sequence": [{"event": "Support Asked"}, {"event": "purchase"}],
                               "within": "3d"},
        "pricing-thrice": {"page": "/pricing*", "count": {"op": "gte", "value": 3},
                           "within": "30d"},
        "free-buyers": {"all": [{"trait": "plan", "op": "eq", "value": "free"}, bought]},
        "any-of": {"any": [{"event": "Support Asked", "within": "1d"},
                           {"event": "Signed Up", "within": "1d"}]},
    }  # fmt: skip
    return [{"name": name, "rule": rule, "record": False} for name, rule in rules.items()]
