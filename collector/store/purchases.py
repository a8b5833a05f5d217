"""Purchases and leads as rows: whose they are, and which are repeats of others."""

from typing import Any

import msgspec
from pysqlite3 import dbapi2 as sqlite

from collector.people.project import Changes

_encode = msgspec.json.Encoder().encode
_Bought = tuple[int, int, str, int, str | None]
_groups = msgspec.json.Decoder(list[tuple[str, list[_Bought]]]).decode

APART = 100_000  # positions of items that came apart from their order
_PERSON = """coalesce((SELECT person FROM person_keys WHERE number = {key}),
  (SELECT iif(a.shared, (SELECT p.person FROM person_periods AS p
    WHERE p.key = a.number AND p.since <= {at}
    ORDER BY p.since DESC LIMIT 1), a.person)
   FROM person_keys AS a WHERE a.number = {anonymous}))"""
_PERSON_OF = _PERSON.format(key="j.value ->> 9", anonymous="j.value ->> 10", at="j.value ->> 3")
_PUT = f"""INSERT INTO purchases (seq, message_id, site, timestamp, event, order_id, currency,
    total_micros, cart, key, anonymous, counted, person)
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
    value ->> 7, value ->> 8, value ->> 9, value ->> 10, 1, {_PERSON_OF} FROM json_each(?) AS j"""
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
    ON p.site = j.value ->> 0 AND p.order_id = j.value ->> 1)"""
_PUT_ORDERED = f"""INSERT INTO purchase_items
    (seq, position, product_id, name, sku, category, price_micros, quantity)
  SELECT p.seq, {APART} - 1 + row_number() OVER (
      PARTITION BY p.seq ORDER BY i.timestamp, i.message_id, i.seq),
    i.product_id, i.name, i.sku, i.category, i.price_micros, i.quantity
  FROM json_each(?) AS j
  CROSS JOIN purchases AS p ON p.site = j.value ->> 0 AND p.order_id = j.value ->> 1 AND p.counted
  CROSS JOIN order_items AS i ON i.site = p.site AND i.order_id = p.order_id"""
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
_CARTS = "SELECT json_group_array(json_array(person, cart)) FROM (SELECT person, cart {which})"
_CARTS_OF_KEYS = _CARTS.format(which=_BY_KEYS.format(table="purchases", columns="person, cart"))
_CARTS_OF_NEW = _CARTS.format(which="FROM purchases WHERE seq IN (SELECT value FROM json_each(?))")
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
# Here as below a row that says so already is not written again.
_FIRST_OF_ORDER = """SELECT f.seq = purchases.seq, nullif(f.message_id, purchases.message_id)
    FROM purchases AS f WHERE f.site = purchases.site AND f.order_id = purchases.order_id
    ORDER BY f.timestamp, f.message_id, f.seq LIMIT 1"""
_SETTLE_ORDERS = f"""UPDATE purchases SET (counted, repeat_of) = ({_FIRST_OF_ORDER})
  WHERE order_id IS NOT NULL
    AND (site, order_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
    AND (counted, repeat_of) IS NOT ({_FIRST_OF_ORDER})"""
_SAME_CART = """SELECT json_group_array(json_array(cart, json(bought))) FROM (
  SELECT cart, json_group_array(json_array(seq, timestamp, message_id, counted, repeat_of))
    AS bought FROM (
    SELECT p.* FROM json_each(?) AS j
    CROSS JOIN purchases AS p ON p.person = j.value ->> 0 AND p.cart = j.value ->> 1
    WHERE p.order_id IS NULL ORDER BY p.timestamp, p.message_id, p.seq)
  GROUP BY person, cart)"""
_MARK = """UPDATE purchases SET (counted, repeat_of) = (
    SELECT j.value ->> 1, j.value ->> 2 FROM json_each(?1) AS j WHERE j.value ->> 0 = seq)
  WHERE seq IN (SELECT value ->> 0 FROM json_each(?1))"""


def put(connection: sqlite.Connection, changes: Changes, repeat_ms: int) -> set[int]:
    """The new ones, and the old ones whose person may be another one now. Returns people who
    have lost a lead by an event that is not theirs: somebody else's, earlier one came late."""
    lost: set[int] = set()
    moved = _text(changes.moved_keys)
    carts = _carts(connection, _CARTS_OF_KEYS, moved) if changes.moved_keys else set()
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
        carts |= _carts(connection, _CARTS_OF_NEW, _text(without))
    settle_carts(connection, carts, repeat_ms)
    orders = {(row[2], row[5]) for row in changes.purchases if row[5] is not None}
    if orders:
        connection.execute(_SETTLE_ORDERS, (_text(sorted(orders)),))
    if changes.order_items:
        connection.execute(_PUT_ORDER_ITEMS, (_text(changes.order_items),))
        orders |= {(row[2], row[4]) for row in changes.order_items}
    if orders:
        _settle_items(connection, _text(sorted(orders)))
    return lost


def _people_of_leads(connection: sqlite.Connection, leads: str) -> set[int]:
    text = connection.execute(_PEOPLE_OF_LEADS, (leads,)).fetchone()[0]
    return set(msgspec.json.decode(text, type=list[int]))


def settle_orders(connection: sqlite.Connection, orders: str) -> None:
    """Which of the purchases with an order id counts; `orders`: JSON of [site, order id]."""
    connection.execute(_SETTLE_ORDERS, (orders,))


def _settle_items(connection: sqlite.Connection, orders: str) -> None:
    """Items that came apart belong to the purchase of their order that counts."""
    connection.execute(_DROP_ORDERED, (orders,))
    connection.execute(_PUT_ORDERED, (orders,))


def _carts(
    connection: sqlite.Connection, statement: str, among: str
) -> set[tuple[int | None, str]]:
    text = connection.execute(statement, (among,)).fetchone()[0]
    return {(person, cart) for person, cart in msgspec.json.decode(text)}


def settle_carts(
    connection: sqlite.Connection, carts: set[tuple[int | None, str]], repeat_ms: int
) -> None:
    """Of a person's purchases without order id and with the same contents, those within
    `repeat_ms` of one that counts are its repeats. Of nobody, each counts."""
    ordered = sorted((person, cart) for person, cart in carts if person is not None)
    if not ordered:
        return
    marks: list[tuple[int, int, str | None]] = []
    text = connection.execute(_SAME_CART, (_text(ordered),)).fetchone()[0]
    for _, bought in _groups(text):
        first_at, first_id = bought[0][1] - repeat_ms - 1, ""
        for seq, at, message_id, *marked in bought:
            if at - first_at > repeat_ms:
                first_at, first_id = at, message_id
                mark: tuple[int, str | None] = (1, None)
            else:
                mark = (0, first_id)
            if tuple(marked) != mark:
                marks.append((seq, *mark))
    if marks:
        connection.execute(_MARK, (_text(marks),))


def _text(value: Any) -> str:
    return str(_encode(value), "utf-8")
