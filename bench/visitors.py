"""Who sends the traffic and what they do: visitors, pages, tracked events."""

import random
from typing import Any

ORIGIN = "https://shop.example"
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/138.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
)
TRACKED = (
    "Product Viewed",
    "Product Added",
    "Button Clicked",
    "Video Played",
    "Search Done",
    "Coupon Applied",
    "Form Started",
    "Checkout Started",
)
_PLANS = ("Essentials Plan", "Pro Plan", "Team Plan", "Add-on", "Onboarding")
_SECTIONS = ("pricing", "labs", "blog", "docs", "product", "solutions", "customers")
_LANGUAGES = ("en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "pt-BR", "ja-JP")
_SEARCHED = ("", "https://www.google.com/", "https://duckduckgo.com/", f"{ORIGIN}/labs")


class Visitor:
    def __init__(self, rand: random.Random) -> None:
        number = int(5_000 * rand.random() ** 2.4)
        own = random.Random(number)
        self.agent = own.choice(_AGENTS)
        self.locale = own.choice(_LANGUAGES)
        self.address = f"203.{own.randrange(256)}.{own.randrange(256)}.{own.randrange(1, 255)}"
        self.anonymous_id = f"01981d2a-7c00-7{own.randrange(4096):03x}-8000-{number:012x}"
        self.user_id = str(100_000 + number) if own.random() < 0.3 else None
        self.email = f"ada.{number}@example.com"


def page(rand: random.Random) -> dict[str, str]:
    section = rand.choice(_SECTIONS)
    path = f"/{section}/{rand.choice(_SECTIONS)}-{rand.randrange(900)}"
    search = ""
    if rand.random() < 0.25:
        click = "".join(rand.choices("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ_-", k=91))
        campaign = f"spring-{rand.randrange(99)}"
        search = (
            f"?utm_source=newsletter&utm_medium=email&utm_campaign={campaign}"
            f"&utm_content=hero&gclid={click[: rand.randrange(40, 91)]}"
        )
        search += f"&variant={rand.choice(_PLANS).replace(' ', '+')}" * rand.randrange(2)
    title = f"{section.title()}: what is new in {rand.choice(_PLANS)} | Shop"
    return {
        "path": path,
        "referrer": rand.choice(_SEARCHED),
        "search": search,
        "title": title,
        "url": f"{ORIGIN}{path}{search}",
    }


def tracked(rand: random.Random, visitor: Visitor) -> tuple[str, dict[str, Any]]:
    drawn = rand.random()
    if drawn < 0.08:
        products = [
            {
                "product_id": str(i),
                "name": rand.choice(_PLANS),
                "sku": f"SKU-{i}",
                "price": 19.95,
                "quantity": rand.randrange(1, 4),
                "category": "Transactional Email",
            }
            for i in range(rand.randrange(1, 5))
        ]
        total = round(sum(p["price"] * p["quantity"] for p in products), 2)  # type: ignore[operator]
        return "Purchase Completed", {"total": total, "currency": "USD", "products": products}
    if drawn < 0.10:
        return "Purchase", {}
    if drawn < 0.18:
        return "Lead Captured", {"email": visitor.email, "source": "Landing Page 1"}
    section = rand.choice(_SECTIONS)
    properties = {
        "label": "hero",
        "position": rand.randrange(40),
        "section": section,
        "value": rand.randrange(10_000) / 100,
        "experiment": "checkout-b",
    }
    return rand.choice(TRACKED), dict(list(properties.items())[: rand.randrange(3, 6)])
