"""Purchases and leads as rows: whose they are, and which are repeats of others."""

from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.people.identity import Rules
from collector.people.project import Changes

_encode = msgspec.json.Encoder().encode
_spans = msgspec.json.Decoder(list[tuple[int, str, int, int]]).decode

APART = 100_000  # positions of items that came apart from their order
_PERSON = """coalesce((SELECT person FROM person_keys WHERE number = {key}),
  (SELECT iif(a.shared, (SELECT p.person FROM person_periods AS p
    WHERE p.key = a.number AND p.since <= {at}
    ORDER BY p.since DESC LIMIT 1), a.person)
   FROM person_keys AS a WHERE a.number = {anonymous}))"""
_PERSON_OF = _PERSON.format(key="j.value ->> 9", anonymous="j.value ->> 10", at="j.value ->> 3")
# Which of the others counts is settled afterwards.
_PUT = f"""INSERT INTO purchases (seq, message_id, site, timestamp, event, order_id, currency,
    total_micros, cart, key, anonymous, person, counted)
  SELECT *, order_id IS NULL AND person IS NULL FROM (
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
      value ->> 5 AS order_id, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10,
      {_PERSON_OF} AS person FROM json_each(?) AS j)"""
_PUT_ITEMS = """INSERT INTO purchase_items
    (seq, position, product_id, name, sku, category, price_micros, quantity)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
    value ->> 7 FROM json_each(?)"""
_PUT_ORDER_ITEMS = """INSERT OR REPLACE INTO order_items (seq, message_id, site, timestamp,
    order_id, product_id, name, sku, category, price_micros, quantity)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
    value ->> 7, value ->> 8, value ->> 9, value ->> 10 FROM json_each(?)"""
_DROP_ORDERED = f"""DELETE FROM purchase_items WHERE position >= {APART} AND seq IN (
  SELECT p.seq FROM json_each(?) AS j CROSS JOIN purchases AS p
    ON p.site = j.value ->> 0 AND p.order_id = j.value ->> 1 AND p.counted = 1)"""
_PUT_ORDERED = f"""INSERT INTO purchase_items
    (seq, position, product_id, name, sku, category, price_micros, quantity)
  SELECT p.seq, {APART} - 1 + row_number() OVER (
      PARTITION BY p.seq ORDER BY i.timestamp, i.message_id, i.seq),
    i.product_id, i.name, i.sku, i.category, i.price_micros, i.quantity
  FROM json_each(?1) AS j
  CROSS JOIN purchases AS p
    ON p.site = j.value ->> 0 AND p.order_id = j.value ->> 1 AND p.counted = 1
  CROSS JOIN order_items AS i ON i.seq IN (
    SELECT seq FROM order_items WHERE site = p.site AND order_id = p.order_id
    ORDER BY timestamp, message_id, seq LIMIT ?2)"""
_PUT_LEADS = """INSERT INTO leads
    (site, email, timestamp, message_id, source, key, anonymous, last_at, times)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
    value ->> 2, 1 FROM json_each(?) WHERE true
  ON CONFLICT DO UPDATE SET times = times + 1, last_at = max(last_at, excluded.last_at),
    (person, timestamp, message_id, source, key, anonymous) = (
      SELECT iif(earlier, NULL, person), iif(earlier, excluded.timestamp, timestamp),
        iif(earlier, excluded.message_id, message_id), iif(earlier, excluded.source, source),
        iif(earlier, excluded.key, key), iif(earlier, excluded.anonymous, anonymous)
      FROM (SELECT (excluded.timestamp, excluded.message_id) < (timestamp, message_id)
        AS earlier))"""
_BY_KEYS = """FROM {table} WHERE key IN (SELECT value FROM json_each(?1))
  UNION SELECT {columns} FROM {table} WHERE anonymous IN (SELECT value FROM json_each(?1))"""
_CARTS = """SELECT json_group_array(json_array(person, cart, since, until)) FROM (
  SELECT person, cart, {span} {which}) WHERE person IS NOT NULL AND cart <> ''"""
_ALWAYS = "-9223372036854775807 AS since, 9223372036854775807 AS until"
_CARTS_OF_KEYS = _CARTS.format(
    span=_ALWAYS,
    which=_BY_KEYS.format(table="purchases", columns=f"person, cart, {_ALWAYS}"),
)
_CARTS_OF_NEW = _CARTS.format(
    span="min(timestamp) AS since, max(timestamp) AS until",
    which="FROM purchases WHERE order_id IS NULL AND seq IN (SELECT value FROM json_each(?)) "
    "GROUP BY person, cart",
)
_ASSIGN = "UPDATE {table} SET person = {person} WHERE ({row}) IN ({rows})"
_OF_PURCHASE = _PERSON.format(
    key="purchases.key", anonymous="purchases.anonymous", at="purchases.timestamp"
)
_OF_LEAD = _PERSON.format(key="leads.key", anonymous="leads.anonymous", at="leads.timestamp")
_ASSIGN_PURCHASES = _ASSIGN.format(
    table="purchases",
    person=_OF_PURCHASE,
    row="seq",
    rows="SELECT seq " + _BY_KEYS.format(table="purchases", columns="seq"),
)
_ASSIGN_LEADS = _ASSIGN.format(
    table="leads",
    person=_OF_LEAD,
    row="site, email",
    rows="SELECT site, email " + _BY_KEYS.format(table="leads", columns="site, email"),
)
_ASSIGN_NEW_LEADS = _ASSIGN.format(
    table="leads",
    person=_OF_LEAD,
    row="site, email",
    rows="SELECT value ->> 0, value ->> 1 FROM json_each(?)",
)
_PEOPLE_OF_LEADS = """SELECT json_group_array(l.person) FROM json_each(?) AS j
  CROSS JOIN leads AS l ON l.site = j.value ->> 0 AND l.email = j.value ->> 1
  WHERE l.person IS NOT NULL"""
# The earliest of an order or a cart, by time and then message id: of those that count and those
# that do not, as the index has them, a look each.
_EARLIEST = """(SELECT seq FROM (
    SELECT * FROM (SELECT seq, timestamp, message_id FROM purchases
      WHERE {of} AND counted = 0 ORDER BY timestamp, message_id, seq LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT seq, timestamp, message_id FROM purchases
      WHERE {of} AND counted = 1 ORDER BY timestamp, message_id, seq LIMIT 1))
  ORDER BY timestamp, message_id, seq LIMIT 1)"""
_OF_ORDER = "site = j.value ->> 0 AND order_id = j.value ->> 1"
# However many there are of an order, two rows are written at most.
_SETTLE_ORDERS = f"""WITH earliest AS MATERIALIZED (
    SELECT (SELECT seq FROM purchases WHERE {_OF_ORDER} AND counted = 1) AS until_now,
      {_EARLIEST.format(of=_OF_ORDER)} AS now FROM json_each(?) AS j)
  UPDATE purchases SET counted = 1 - counted WHERE seq IN (
    SELECT until_now FROM earliest WHERE until_now IS NOT now
    UNION SELECT now FROM earliest WHERE until_now IS NOT now)"""
# Those with an order id have an empty one.
_OF_CART = "person = {of}.person AND cart = {of}.cart"
_FIRST_OF_CART = _EARLIEST.format(of=_OF_CART.format(of="a"))
_NEXT_OF_CART = _EARLIEST.format(of=_OF_CART.format(of="c") + " AND timestamp > c.at + ?2")
# From the last one that counts before what is new, in leaps of the time of repeats, to where one
# that counted already comes after all that is new: how many repeats lie between does not matter.
_SETTLE_CARTS = f"""WITH RECURSIVE asked AS (
    SELECT value ->> 0 AS person, value ->> 1 AS cart, value ->> 2 AS since, value ->> 3 AS until
      FROM json_each(?1)),
  counting (person, cart, until, seq, at, counted) AS MATERIALIZED (
    SELECT a.person, a.cart, a.until, p.seq, p.timestamp, p.counted
      FROM asked AS a CROSS JOIN purchases AS p ON p.seq = coalesce(
        (SELECT seq FROM purchases WHERE {_OF_CART.format(of="a")} AND counted = 1
          AND timestamp < a.since ORDER BY timestamp DESC, message_id DESC, seq DESC LIMIT 1),
        {_FIRST_OF_CART})
    UNION ALL
    SELECT c.person, c.cart, c.until, p.seq, p.timestamp, p.counted
      FROM counting AS c CROSS JOIN purchases AS p ON p.seq = {_NEXT_OF_CART}
      WHERE NOT (c.counted AND c.at > c.until)),
  spans AS (
    SELECT person, cart, min(at) AS since,
      iif(max(counted AND at > until), max(at), 9223372036854775807) AS until
      FROM counting GROUP BY person, cart)
  UPDATE purchases SET counted = 1 - counted WHERE seq IN (
    SELECT seq FROM counting WHERE NOT counted
    UNION
    SELECT p.seq FROM spans AS s CROSS JOIN purchases AS p
      ON p.person = s.person AND p.cart = s.cart AND p.counted = 1
        AND p.timestamp BETWEEN s.since AND s.until
      WHERE p.seq NOT IN (SELECT seq FROM counting))"""


def put(connection: sqlite.Connection, changes: Changes, rules: Rules) -> set[int]:
    """The new ones, and the old ones whose person may be another one now. Returns people who
    have lost a lead by an event that is not theirs: somebody else's, earlier one came late."""
    lost: set[int] = set()
    moved = _text(changes.moved_keys)
    carts: dict[tuple[int, str], tuple[int, int]] = {}
    if changes.moved_keys:
        carts |= _carts(connection, _CARTS_OF_KEYS, moved)
    if changes.purchases:
        connection.execute(_PUT, (_text(changes.purchases),))
        connection.execute(_PUT_ITEMS, (_text(changes.items),))
    if changes.leads:
        leads = _text(changes.leads)
        before = _people_of_leads(connection, leads)
        connection.execute(_PUT_LEADS, (leads,))
        connection.execute(_ASSIGN_NEW_LEADS, (leads,))
        lost = before - _people_of_leads(connection, leads)
    if changes.moved_keys:
        connection.execute(_ASSIGN_PURCHASES, (moved,))
        connection.execute(_ASSIGN_LEADS, (moved,))
        carts |= _carts(connection, _CARTS_OF_KEYS, moved)
    if without := [row[0] for row in changes.purchases if row[5] is None]:
        carts = _carts(connection, _CARTS_OF_NEW, _text(without)) | carts
    if carts:
        asked = _text([(*cart, *span) for cart, span in sorted(carts.items())])
        connection.execute(_SETTLE_CARTS, (asked, rules.repeat_ms))
    orders = {(row[2], row[5]) for row in changes.purchases if row[5] is not None}
    if changes.order_items:
        connection.execute(_PUT_ORDER_ITEMS, (_text(changes.order_items),))
        orders |= {(row[2], row[4]) for row in changes.order_items}
    if orders:
        settle_orders(connection, _text(sorted(orders)), rules)
    return lost


def _people_of_leads(connection: sqlite.Connection, leads: str) -> set[int]:
    text = connection.execute(_PEOPLE_OF_LEADS, (leads,)).fetchone()[0]
    return set(msgspec.json.decode(text, type=list[int]))


def settle_orders(connection: sqlite.Connection, orders: str, rules: Rules) -> None:
    """Which of the purchases with an order id counts, and to it the items that came apart;
    `orders`: JSON of [site, order id], each once."""
    connection.execute(_DROP_ORDERED, (orders,))
    connection.execute(_SETTLE_ORDERS, (orders,))
    connection.execute(_PUT_ORDERED, (orders, rules.items_per_order))


def _carts(
    connection: sqlite.Connection, statement: str, among: str
) -> dict[tuple[int, str], tuple[int, int]]:
    """Purchases without order id, by person and contents, and the times between which there may
    be others than before."""
    text = connection.execute(statement, (among,)).fetchone()[0]
    return {(person, cart): (since, until) for person, cart, since, until in _spans(text)}


def _text(value: Any) -> str:
    return str(_encode(value), "utf-8")
