"""What the dashboard should say, by SQL over `events` alone: nothing of the collector's is used."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tests.browser.dashboard.conftest import COUNTRIES, ZONE, Dashboard

_NET = "CAST(substr(ip, 1, instr(ip, '.') - 1) AS INTEGER)"
_PLACES = " ".join(
    f"WHEN {_NET} / 64 = {int(net.partition('.')[0]) // 64} THEN '{code}'"
    for net, code in COUNTRIES.items()
)
_HOST = "replace(substr({0}, instr({0}, '//') + 2), 'www.', '') || '/'"
SEEN = f"""WITH seen AS (SELECT *, site || ' ' || coalesce(anonymous_id, user_id) AS visitor,
    type IN ('page', 'screen') AS view, iif(type = 'track', event, NULL) AS name,
    coalesce(bot, 0) AS robot, coalesce(path, '') AS at_path,
    iif(coalesce(referrer, '') = '', '', substr(h, 1, instr(h, '/') - 1)) AS host,
    iif(url LIKE '%utm_campaign=%', substr(url, instr(url, 'utm_campaign=') + 13), '') AS campaign,
    CASE WHEN user_agent LIKE '%iPhone%' OR user_agent LIKE '%Android%' THEN 'Phone'
      WHEN user_agent LIKE '%Windows%' OR user_agent LIKE '%Macintosh%' OR user_agent LIKE '%X11%'
      THEN 'Desktop' ELSE '' END AS device,
    CASE WHEN user_agent LIKE '%aiohttp%' THEN 'Python aiohttp'
      WHEN user_agent LIKE '%HeadlessChrome%' THEN 'HeadlessChrome'
      WHEN user_agent LIKE '%Googlebot%' THEN 'Googlebot' WHEN user_agent LIKE '%bingbot%'
      THEN 'bingbot' WHEN user_agent LIKE '%Firefox%' THEN 'Firefox'
      WHEN user_agent LIKE '%iPhone%' THEN 'Mobile Safari' WHEN user_agent LIKE '%Chrome%'
      THEN 'Chrome' WHEN user_agent LIKE '%Safari%' THEN 'Safari' ELSE '' END AS browser,
    CASE {_PLACES} ELSE '' END AS country
  FROM (SELECT *, {_HOST.format("referrer")} AS h FROM events))"""
COLUMNS = {
    "site": "site", "path": "at_path", "referrer": "host", "campaign": "campaign", "event": "name",
    "device": "device", "browser": "browser", "country": "country", "type": "type",
}  # fmt: skip


class Asked:
    """Filters and days as the page has them; `where` is the condition on `seen`."""

    def __init__(self, dashboard: Dashboard, days: int, filters: dict[str, str]) -> None:
        self._rows = dashboard.rows
        self._filters = filters
        today = datetime.now(ZONE).date()
        self.first, self.end = today - timedelta(days=days - 1), today + timedelta(days=1)
        self.days = days

    def query(self, **more: str) -> str:
        """Of the page's address. Days by their dates, so that no midnight comes between."""
        days = {"from": str(self.first), "to": str(self.end - timedelta(days=1))}
        return urlencode({**days, **self._filters, **more})

    def before(self) -> None:
        self.first, self.end = self.first - timedelta(days=self.days), self.first

    def condition(self, of: str = "", first: date | None = None, end: date | None = None) -> str:
        said = [
            f"{of}timestamp >= {midnight(first or self.first)}",
            f"{of}timestamp < {midnight(end or self.end)}",
        ]
        for name, value in self._filters.items():
            if name != "bots":
                said.append(f"{of}{COLUMNS[name]} = '{value}'")
        if "bots" not in self._filters:
            said.append(f"{of}robot = 0")
        return " AND ".join(said)

    def __call__(self, sql: str) -> list[dict[str, Any]]:
        return self._rows(f"{SEEN} {sql}")

    def totals(self) -> dict[str, int]:
        row = self(
            "SELECT count(DISTINCT visitor) AS visitors, count(*) AS events, "
            f"coalesce(sum(view), 0) AS views FROM seen WHERE {self.condition()}"
        )[0]
        bought = self.purchases()
        sums: dict[str, int] = {}
        for one in bought:
            key = f"revenue-{one['currency']}"
            sums[key] = sums.get(key, 0) + one["cents"]
        return {**row, "purchases": len(bought), "leads": len(self.leads()), **sums}

    def purchases(self) -> list[dict[str, Any]]:
        """The newest first. Order ids of the demo are used once."""
        return self(
            "SELECT seq, timestamp, visitor, user_id, properties ->> '$.order_id' AS order_id, "
            "properties ->> '$.currency' AS currency, properties, "
            "CAST(round(100 * (properties ->> '$.total')) AS INTEGER) AS cents FROM seen "
            "WHERE name = 'Purchase Completed' AND json_type(properties, '$.total') = 'real' "
            f"AND {self.condition()} ORDER BY timestamp DESC, seq DESC"
        )

    def leads(self) -> list[dict[str, Any]]:
        """Each address once, at the time of its first event."""
        return self(
            f"SELECT *, json_extract(properties, '$.source') AS source FROM (SELECT *, "
            "json_extract(properties, '$.email') AS email, count(*) AS times, min(timestamp) "
            "FROM seen WHERE name = 'Lead Captured' GROUP BY site, email) "
            f"WHERE {self.condition()} ORDER BY timestamp DESC"
        )

    def top(self, by: str) -> dict[str, int]:
        """Page views, or the tracks that are asked for."""
        of = {"event": "name IS NOT NULL", "type": "true"}.get(by, "view")
        if "event" in self._filters and of == "view":
            of = "true"
        rows = self(
            f"SELECT {COLUMNS[by]} AS value, count(*) AS count FROM seen "
            f"WHERE {self.condition()} AND {of} GROUP BY 1"
        )
        return {row["value"]: row["count"] for row in rows}

    def most_a_day(self, what: str) -> int:
        """The highest point of a chart by days."""
        highest = 0
        for ahead in range(self.days):
            day = self.first + timedelta(days=ahead)
            of = self.condition(first=day, end=day + timedelta(days=1))
            highest = max(highest, self(f"SELECT {what} AS n FROM seen WHERE {of}")[0]["n"] or 0)
        return highest

    def revenue(self, by: str) -> set[tuple[str, str, int, int]]:
        """Value, currency, number and cents, of products or touches."""
        found: dict[tuple[str, str], list[int]] = {}
        for value, currency, number, cents in (
            self._items(by) if by in ("name", "category") else self._touches(by)
        ):
            sums = found.setdefault((value or "None", currency), [0, 0])
            sums[0] += number
            sums[1] += cents
        return {(*key, *sums) for key, sums in found.items()}

    def _items(self, by: str) -> list[tuple[str, str, int, int]]:
        rows = self(
            f"SELECT item.value ->> '$.{by}' AS value, properties ->> '$.currency' AS currency, "
            "item.value ->> '$.quantity' AS number, "
            "CAST(round(100 * (item.value ->> '$.price')) AS INTEGER) AS cents "
            "FROM seen, json_each(properties, '$.products') AS item "
            "WHERE name = 'Purchase Completed' AND " + self.condition("seen.")
        )
        return [(r["value"], r["currency"], r["number"], r["number"] * r["cents"]) for r in rows]

    def _touches(self, order: str) -> list[tuple[str, str, int, int]]:
        found = []
        touched = self("SELECT visitor, timestamp, seq, campaign FROM seen WHERE campaign <> ''")
        for one in self.purchases():
            until = (one["timestamp"] // 900_000, one["seq"])
            touches = sorted(
                (at, touch["campaign"])
                for touch in touched
                if touch["visitor"] == one["visitor"]
                and (at := (touch["timestamp"] // 900_000, touch["seq"])) <= until
            )
            value = touches[0 if order == "first" else -1][1] if touches else ""
            found.append((value, one["currency"], 1, one["cents"]))
        return found


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp() * 1000)
