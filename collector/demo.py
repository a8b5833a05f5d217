"""A month of shop traffic for `collector demo`: pages, people, purchases, leads and bots, the
same for the same seed and moment."""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from collector.clock import uuid7
from collector.event import Event
from collector.wire.bots import known

DAYS = 30
_DAY = 86_400_000
_SITE = "https://shop.example"
_PAGES = [
    ("/", "Home", 30),
    ("/pricing", "Pricing and Plans", 12),
    ("/features", "Features", 9),
    ("/blog/first-campaign", "Your first campaign", 7),
    ("/blog/deliverability", "Deliverability, explained", 6),
    ("/docs", "Documentation", 6),
    ("/docs/api", "API reference", 4),
    ("/about", "About us", 3),
    ("/contact", "Contact", 2),
]
_FROM = [
    ("", "", 45),
    ("https://www.google.com/", "", 25),
    ("https://duckduckgo.com/", "", 5),
    ("https://news.ycombinator.com/item", "", 4),
    ("https://www.linkedin.com/feed/", "autumn-launch", 8),
    ("https://newsletter.example/42", "newsletter-42", 8),
    ("https://www.google.com/", "brand-search", 5),
]
_AGENTS = [
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/142.0.0.0 Safari/537.36", 34),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
     "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", 26),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
     "Chrome/142.0.0.0 Mobile Safari/537.36", 20),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
     "(KHTML, like Gecko) Version/18.5 Safari/605.1.15", 12),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", 6),
]  # fmt: skip
_BOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
]
_PLANS = [
    ("1", "Essentials Plan", "SKU-1", "19.95", "Transactional Email", 60),
    ("2", "Pro Plan", "SKU-2", "79.95", "Marketing Email", 30),
    ("3", "Dedicated Address", "SKU-3", "30.00", "Add-ons", 15),
]
_NAMES = ["Ada", "Grace", "Linus", "Margaret", "Alan", "Barbara", "Edsger", "Radia", "Tim", "Joan"]
_FAMILIES = ["Lovelace", "Hopper", "Ahmed", "Hamilton", "Okafor", "Liskov", "Garcia", "Perlman"]
_COUNTRIES = ["Austria", "Germany", "France", "United States", "Japan", "Brazil"]


class Visitor(NamedTuple):
    anonymous_id: str
    agent: str
    ip: str
    user: int | None


def events(now: int, visits: int = 6000, seed: int = 1) -> Iterator[Event]:
    """In order of time, ending at `now`."""
    made = list(_Shop(random.Random(seed), now).visits(visits))  # noqa: S311
    return iter(sorted(made, key=lambda event: event.timestamp))


class _Shop:
    def __init__(self, chance: random.Random, now: int) -> None:
        self._chance = chance
        self._now = now
        self._orders = 1000
        self._known: list[Visitor] = []

    def visits(self, count: int) -> Iterator[Event]:
        for _ in range(count):
            yield from self._visit(self._moment())

    def _moment(self) -> int:
        """More by day than by night, more lately than at first."""
        while True:
            at = self._now - int(DAYS * _DAY * self._chance.random() ** 1.25)
            hour = at // 3_600_000 % 24
            if self._chance.random() < 0.25 + 0.75 * (7 <= hour <= 21):
                return at

    def _pick(self, weighted: list[Any]) -> Any:
        return self._chance.choices(weighted, [row[-1] for row in weighted])[0]

    def _visit(self, at: int) -> Iterator[Event]:
        if self._chance.random() < 0.07:
            agent = self._chance.choice(_BOTS)
            yield self._event(self._somebody(agent), at, "page", self._page())
            return
        back = self._known and self._chance.random() < 0.45
        visitor = self._chance.choice(self._known) if back else self._newcomer()
        referrer, campaign, _ = self._pick(_FROM)
        for number in range(1 + int(self._chance.expovariate(0.45))):
            page = self._page(campaign if not number else "", referrer if not number else "")
            yield self._event(visitor, at, "page", page)
            at += int(self._chance.uniform(5_000, 90_000))
            if at > self._now:
                return
        if visitor.user is not None:
            yield from self._identify(visitor, at)
        yield from self._wants(visitor, at)

    def _newcomer(self) -> Visitor:
        visitor = self._somebody(self._pick(_AGENTS)[0])
        if self._chance.random() < 0.35:
            visitor = visitor._replace(user=1000 + len(self._known))
        self._known.append(visitor)
        return visitor

    def _somebody(self, agent: str) -> Visitor:
        address = ".".join(str(self._chance.randrange(1, 224)) for _ in range(3)) + ".0"
        return Visitor(f"anon-{self._chance.getrandbits(64):016x}", agent, address, None)

    def _page(self, campaign: str = "", referrer: str = "") -> dict[str, Any]:
        path, title, _ = self._pick(_PAGES)
        query = f"?utm_campaign={campaign}" if campaign else ""
        return {"url": f"{_SITE}{path}{query}", "path": path, "title": title, "referrer": referrer}

    def _identify(self, visitor: Visitor, at: int) -> Iterator[Event]:
        traits = {
            "email": self._email(visitor),
            "name": self._name(visitor),
            "country": _COUNTRIES[(visitor.user or 0) % len(_COUNTRIES)],
            "plan": ["free", "essentials", "pro"][(visitor.user or 0) % 3],
        }
        yield self._event(visitor, at, "identify", traits=traits)

    def _name(self, visitor: Visitor) -> str:
        user = visitor.user or 0
        return f"{_NAMES[user % len(_NAMES)]} {_FAMILIES[user // 10 % len(_FAMILIES)]}"

    def _email(self, visitor: Visitor) -> str:
        return f"{self._name(visitor).lower().replace(' ', '.')}.{visitor.user}@example.com"

    def _wants(self, visitor: Visitor, at: int) -> Iterator[Event]:
        if self._chance.random() < 0.18:
            plan = self._pick(_PLANS)[1]
            yield self._event(visitor, at, "track", event="Plan Viewed", properties={"plan": plan})
        if self._chance.random() < 0.06:
            source = self._chance.choice(["Landing Page 1", "Footer", "Webinar"])
            email = (
                self._email(visitor)
                if visitor.user
                else f"lead.{visitor.anonymous_id[5:11]}@example.org"
            )
            said = {"email": email, "source": source}
            yield self._event(visitor, at + 1000, "track", event="Lead Captured", properties=said)
        if visitor.user is not None and self._chance.random() < 0.2:
            yield self._purchase(visitor, at + 2000)

    def _purchase(self, visitor: Visitor, at: int) -> Event:
        self._orders += 1
        chosen = {self._pick(_PLANS)[:5] for _ in range(self._chance.choice([1, 1, 1, 2]))}
        products = [
            {
                "product_id": one,
                "name": name,
                "sku": sku,
                "price": float(price),
                "quantity": 1,
                "category": category,
            }
            for one, name, sku, price, category in sorted(chosen)
        ]
        total = round(sum(product["price"] for product in products), 2)
        said = {
            "order_id": f"order-{self._orders}",
            "total": total,
            "currency": self._chance.choice(["USD", "USD", "EUR"]),
            "products": products,
        }
        return self._event(visitor, at, "track", event="Purchase Completed", properties=said)

    def _event(
        self,
        visitor: Visitor,
        at: int,
        kind: str,
        page: dict[str, Any] | None = None,
        **more: Any,
    ) -> Event:
        at = min(at, self._now)
        page = page or {"url": f"{_SITE}/account", "path": "/account", "title": "Your account"}
        if kind == "page":
            more["properties"] = page
        for name in ("properties", "traits"):
            if name in more:
                more[name] = msgspec.json.encode(more[name]).decode()
        fields: dict[str, Any] = dict.fromkeys(Event.__struct_fields__)
        fields |= {
            "message_id": uuid7(at),
            "site": "shop",
            "type": kind,
            "anonymous_id": visitor.anonymous_id,
            "user_id": None if visitor.user is None else str(visitor.user),
            "timestamp": at,
            "received_at": at,
            "ip": visitor.ip,
            "user_agent": visitor.agent,
            "bot": 1 if known(visitor.agent) else None,
            **{name: page.get(name) or None for name in ("url", "path", "title", "referrer")},
            **more,
        }
        return Event(**fields)
