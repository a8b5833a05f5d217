"""Purchases and leads: which events are known, what their properties mean, what is wrong in them.

Money is decimal from the first byte to the last: JSON's digits to Decimal, Decimal to integer
micros. A float is never made.
"""

import hashlib
import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec

PURCHASES = frozenset({"Purchase Completed", "Purchase", "Order Completed"})
LEADS = frozenset({"Lead Captured", "Lead Generated", "Lead"})
ORDER_ITEM = "Order Item"  # one line of an order, sent apart from it (Snowplow's `ti`)
KNOWN = PURCHASES | LEADS | {ORDER_ITEM}

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_encode = msgspec.json.Encoder().encode
_PLAIN = re.compile(r"[+-]?\d+(\.\d*)?|[+-]?\.\d+", re.ASCII)
_EMAIL = re.compile(r"[^\s@,;<>\"()\[\]\\]{1,64}@[^\s@,;<>\"()\[\]\\.]+(\.[^\s@,;<>\"()\[\]\\.]+)+")
_EXACT = Context(prec=400)  # more digits than any accepted number has
_LARGEST = Decimal(2**63 - 1) / 1_000_000
_LONGEST_NUMBER = 40
_MOST_SAID = 20
_LONGEST_EMAIL = 254  # RFC 5321, a path without its brackets


class Product(msgspec.Struct, frozen=True, gc=False):
    product_id: str | None
    name: str | None
    sku: str | None
    category: str | None
    price_micros: int | None
    quantity: int | float | None


class Purchase(msgspec.Struct, frozen=True):
    """`cart` is equal for equal contents: what tells a repeat of a purchase without order id. With
    one it is empty."""

    order_id: str | None
    total_micros: int | None
    currency: str | None
    products: list[Product]
    cart: str


class OrderItem(msgspec.Struct, frozen=True, gc=False):
    order_id: str
    product: Product


class Lead(msgspec.Struct, frozen=True, gc=False):
    email: str
    source: str | None


def violations(event: str, properties: str | None) -> str | None:
    """What in a known event's properties breaks the tables of product properties, as JSON list
    of texts ``expected a number - at `$.properties.total` ``; None when nothing does."""
    look = _Look(properties)
    if event in PURCHASES:
        look.purchase()
    else:
        (look.order_item if event == ORDER_ITEM else look.lead)()
    return _encode(look.said[:_MOST_SAID]).decode() if look.said else None


def purchase(properties: str | None) -> Purchase:
    """Of an event without violations."""
    return _Look(properties).purchase()


def order_item(properties: str | None) -> OrderItem | None:
    """Of an event without violations; None when it names no order after all."""
    return _Look(properties).order_item()


def lead(properties: str | None) -> Lead | None:
    """Of an event without violations; None when no address was captured after all."""
    return _Look(properties).lead()


def normal_email(value: object) -> str | None:
    """The address in the one form that is compared, None when it is none."""
    if not isinstance(value, str) or len(value) > _LONGEST_EMAIL + 2:
        return None
    text = value.strip().lower()
    return text if len(text) <= _LONGEST_EMAIL and _EMAIL.fullmatch(text) else None


class _Look:
    """Reads properties and notes what is wrong with them."""

    def __init__(self, properties: str | None) -> None:
        self.said: list[str] = []
        try:
            self._properties = _decode(properties) if properties else {}
        except (msgspec.DecodeError, ArithmeticError, RecursionError):
            self._properties = {}
            self.said.append("cannot be read - at `$.properties`")

    def purchase(self) -> Purchase:
        given = self._properties
        name = "total" if given.get("total") is not None else "revenue"
        total = self._take(given, name, "$.properties", _micros, "a number")
        currency = self._take(given, "currency", "$.properties", _currency, "a three-letter code")
        order_id = self._order_id()
        products = self._products(given.get("products"))
        if order_id:
            return Purchase(order_id, total, currency, products, "")
        cart = hashlib.blake2b(_encode([total, currency, products]), digest_size=12).hexdigest()
        return Purchase(None, total, currency, products, cart)

    def order_item(self) -> OrderItem | None:
        order_id, product = self._order_id(), self._product(self._properties, "$.properties")
        if not order_id:
            self.said.append("expected the order - at `$.properties.order_id`")
        return OrderItem(order_id, product) if order_id else None

    def _order_id(self) -> str | None:
        given = self._properties
        name = "order_id" if given.get("order_id") is not None else "orderId"
        order_id: str | None = self._take(given, name, "$.properties", _text, "a string")
        return order_id

    def lead(self) -> Lead | None:
        given = self._properties
        email = self._take(given, "email", "$.properties", normal_email, "an e-mail address")
        if given.get("email") is None:
            self.said.append("expected an e-mail address - at `$.properties.email`")
        source = self._take(given, "source", "$.properties", _text, "a string")
        return Lead(email, source) if email else None

    def _products(self, given: object) -> list[Product]:
        if given is None:
            return []
        if not isinstance(given, list):
            self.said.append("expected an array - at `$.properties.products`")
            return []
        return [self._product(item, f"$.properties.products[{i}]") for i, item in enumerate(given)]

    def _product(self, given: object, at: str) -> Product:
        if not isinstance(given, dict):
            self.said.append(f"expected an object - at `{at}`")
            given = {}
        product_id, name, sku, category = [
            self._take(given, field, at, _text, "a string")
            for field in ("product_id", "name", "sku", "category")
        ]
        price = self._take(given, "price", at, _micros, "a number")
        quantity = self._take(given, "quantity", at, _quantity, "a number")
        return Product(product_id, name, sku, category, price, quantity)

    def _take(
        self,
        given: dict[str, Any],
        name: str,
        at: str,
        read: Callable[[Any], Any],
        expected: str,
    ) -> Any:
        value = given.get(name)
        if value is None:
            return None
        taken = read(value)
        if taken is None:
            self.said.append(f"expected {expected} - at `{at}.{name}`")
        return taken


def _number(value: object) -> Decimal | None:
    """Numbers and plain decimal strings ("119.85", not "1e3", not "1,000"); None for what is
    none or has no room in 64 bits of micros."""
    if isinstance(value, str):
        text = value.strip()
        plain = len(text) <= _LONGEST_NUMBER and _PLAIN.fullmatch(text)
        number = Decimal(text) if plain else None
    elif isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    else:
        number = Decimal(value)
    if number is None or not number.is_finite() or number.copy_abs() >= _LARGEST:
        return None
    return number if number.adjusted() > -_LONGEST_NUMBER else Decimal(0)


def _micros(value: object) -> int | None:
    """Millionths, what is finer rounded half to even; None beyond 64 bits."""
    number = _number(value)
    if number is None:
        return None
    return int(number.scaleb(6, _EXACT).to_integral_value(ROUND_HALF_EVEN, _EXACT))


def _quantity(value: object) -> int | float | None:
    number = _number(value)
    if number is None:
        return None
    return int(number) if number == int(number) else float(number)


def _text(value: object) -> str | None:
    """Texts; ids are often sent as numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return str(value)


def _currency(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    code = value.strip().upper()
    return code if len(code) == 3 and code.isascii() and code.isalpha() else None
