"""A request in, an answer out once its events are on disk. Knows neither aiohttp nor SQL; the
hot lane and the normal routes are two skins over it, so they cannot differ in what they say."""

import logging
from collections.abc import Callable
from functools import partial

from collector import clock
from collector.config import Config
from collector.errors import CollectorError, Conflict, Overloaded, Refused
from collector.event import Event, Reject
from collector.ingest import cookieless, marks
from collector.ingest.edges import EdgeKeys
from collector.ingest.heads import Head, Sent, sent_by
from collector.ingest.rates import Gate
from collector.ingest.sites import Site, Sites
from collector.ingest.visitor import Greeting, Visitors
from collector.metrics import Metrics
from collector.people.commerce import KNOWN, LEADS, PURCHASES, violations
from collector.store.suppressed import Suppressed, emptied
from collector.wire import bots, build, plain
from collector.wire.address import Addresses
from collector.wire.message import Answer, Call, Client, Request
from collector.wire.privacy import Rules
from collector.wire.scrub import Scrubber
from collector.wire.table import Protocol, Route, routes
from collector.workers.writer import Writer

log = logging.getLogger(__name__)

Reply = Callable[[Answer], None]
_MESSAGE_CHARS = 500


class Service:
    """What the public listener does with an ingest request."""

    def __init__(
        self,
        config: Config,
        sites: Sites,
        writer: Writer,
        metrics: Metrics,
        visitors: Visitors,
        salt: Callable[[], bytes],
        suppressed: Suppressed,
    ) -> None:
        self.suppressed = suppressed
        self.metrics = metrics
        self.routes: dict[str, Route] = {}
        self._salt = salt
        self._sites = sites
        self._writer = writer
        self._watch = AddressWatch()
        self._overloaded: dict[tuple[Callable[[Refused], Answer], str], Answer] = {}
        self.configure(config, visitors)

    def configure(self, config: Config, visitors: Visitors) -> None:
        """Go by these settings from now on. Connections hold `routes`, which stays the same."""
        self.routes.clear()
        self.routes.update(routes(config.http, config.clients))
        self.max_body = config.limits.batch_bytes
        self._limits = config.limits
        self._proxy_ids = config.clients.proxy_ids
        self._rules = Rules.of(config.privacy)
        self._scrubber = Scrubber(config.privacy)
        self._decoder = (
            plain.decoder(config.limits, self._scrubber, PURCHASES, LEADS, KNOWN, violations)
            if config.http.hot_lane
            else None
        )
        self._gate = Gate(config.rates)
        self._visitors = visitors
        self._edge_keys = EdgeKeys(config.edge)
        self._unavailable = {
            route.protocol: partial(self._cannot_store, route.protocol)
            for route in self.routes.values()
        }
        self._addresses = Addresses(config.http.trusted_proxies, config.privacy.ip)

    def submit(self, route: Route, request: Request, reply: Reply) -> None:
        """Answer `request` by calling `reply` once: at once when it is refused, otherwise when
        its events are committed and synced."""
        head = Head.of(route, request)
        if not self.take_plain(head, sent_by(request), request.peer, reply):
            self.take(route, request, reply)

    def take_plain(self, head: Head, sent: Sent, peer: str, reply: Reply) -> bool:
        """Take what nearly all clients send, its rows made in compiled code. False for what is
        unusual in any way, and then nothing was done: `take` says the same of what could have
        gone this way, and all else."""
        protocol, decoder = head.route.protocol, self._decoder
        body, query, forwarded, cookies, agent, referer, _ = sent
        if (
            decoder is None
            or not head.plain
            or protocol.plain is None
            or self.suppressed.hashes
            or len(body) > self.max_body
        ):
            return False
        metrics = self.metrics
        if self._writer.full:  # before any work: under overload refusing must be cheap
            metrics.received_requests += 1
            metrics.received_bytes += len(body)
            self._refused(protocol, Overloaded(self._writer.why), reply)
            return True
        client = head.request.client
        referer = client.referer if referer is None else referer
        found = protocol.plain(decoder, head.route.kind, body, query, referer)
        if found is None:
            return False
        key = head.key or found.key
        site = self._sites.plain(key, client.origin)
        cookies = client.cookies if cookies is None else cookies
        if site is None or (protocol.cookie and not self._visitors.known(cookies, found.visitor)):
            return False
        agent = client.user_agent if agent is None else Client.agent(agent)
        forwarded = client.forwarded if forwarded is None else forwarded
        address, ip = self._addresses.place(peer, forwarded)
        rows = found.rows(
            site.name,
            clock.now_ms(),
            ip,
            agent,
            (protocol.browser or client.origin is not None) and bots.known(agent),
            not self._scrubber.off,
        )
        if rows is None:
            return False
        gate = self._gate
        try:
            if gate.counts_addresses:
                gate.admit_address(address)
            if gate.counts_keys:
                gate.admit_key(key or site.name, address, len(rows))
            refuse = self._unavailable[protocol]
            answer = protocol.answer([], len(rows))
            size = len(body) + len(query or "") + 512
            self._writer.submit(rows, [], size, reply, answer, refuse)
            metrics.accepted_events += len(rows)
        except (Overloaded, Refused) as error:
            self._refused(protocol, error, reply)
        self._watch.saw(address)
        metrics.received_requests += 1
        metrics.received_bytes += len(body)
        return True

    def take(self, route: Route, request: Request, reply: Reply) -> None:
        """`submit` for what is not plain."""
        protocol, metrics = route.protocol, self.metrics
        metrics.received_requests += 1
        metrics.received_bytes += len(request.body)
        try:
            if len(request.body) > self.max_body:
                raise Refused(413, "too_large", f"the body is over {self.max_body} bytes")
            if self._writer.full:  # before any work: under overload refusing must be cheap
                raise Overloaded(self._writer.why)
            if self._gate.counts_addresses:
                self._gate.admit_address(self._place(request)[0])
            call = protocol.parse(request, route.kind, self._limits)
            self._take(call, protocol, request, reply)
        except (Overloaded, Refused) as error:
            self._refused(protocol, error, reply)

    def _refused(self, protocol: Protocol, error: Overloaded | Refused, reply: Reply) -> None:
        if isinstance(error, Overloaded):
            self.metrics.overloaded_requests += 1
            said = protocol.error, str(error)
            answer = self._overloaded.get(said)
            if answer is None:
                if len(self._overloaded) >= 64:
                    self._overloaded.clear()
                refused = Refused(503, "overloaded", f"{error}; try again")
                answer = self._overloaded[said] = protocol.error(refused)
            reply(answer)
        else:
            self.metrics.refused_requests += 1
            self.metrics.limited_requests += error.status == 429
            reply(protocol.error(error))

    @property
    def in_flight(self) -> int:
        """Requests taken whose answer is outstanding."""
        return self._writer.waiting

    def refuse(self, route: Route, error: Refused) -> Answer:
        """The answer to a request that did not get as far as `submit` (size, encoding)."""
        self.metrics.received_requests += 1
        self.metrics.refused_requests += 1
        return route.protocol.error(error)

    def _take(self, call: Call, protocol: Protocol, request: Request, reply: Reply) -> None:
        if call.forwarded is not None:
            self._take_forwarded(call, call.forwarded, protocol, request, reply)
            return
        if not call.key and call.named is None and call.refused and not call.items:
            raise call.refused[0].error.bare()  # unreadable, so its owner cannot be known
        client = request.client
        site = (
            self._sites.authenticate(call.key, client.origin)
            if call.named is None
            else self._sites.named(call.named, client.origin)
        )
        if self._gate.counts_keys:
            key, address = call.key or site.name, self._place(request)[0]
            self._gate.admit_key(key, address, len(call.items) + len(call.refused))
        if self._proxy_ids and call.named is not None and client.request_id:
            self._identify(call, request)
        if self._rules.declines(client.gpc, client.dnt):
            call.declined = len(call.items)
            self._decline(call, protocol, request, reply)
            return
        greeting = self._visitors.meet(call, request, site) if call.cookie else None
        if call.anonymous:
            greeting = self._visitors.part(request)
        arrival = self._arrival(call, request, site)
        events = marks.marked(build.events(call, arrival), site)
        if self.suppressed:
            kept = [event for event in events if not self.suppressed.covers(event)]
            call.declined += len(events) - len(kept)
            events = kept
        rejects = self._rejects(call, arrival, site.cookieless) if call.refused else []
        if not events and not rejects:
            self._decline(call, protocol, request, reply)
            return
        self.metrics.declined_events += call.declined
        if greeting is not None:
            reply = partial(_greeted, greeting, reply)
        taken = len(events) + call.declined
        # What waits for the disk is the events and the answer alone, nothing of the request: the
        # next one is parsed in memory that is still in the cache.
        answer = call.reply if call.reply and taken else protocol.answer(call.refused, taken)
        refuse = self._unavailable[protocol]
        size = len(request.body) + len(request.url.raw_query_string) + 512
        self._writer.submit(events, rejects, size, reply, answer, refuse)
        self.metrics.accepted_events += len(events)

    def _identify(self, call: Call, request: Request) -> None:
        """What has no id of its own gets its request's, which a proxy sends with each try."""
        given = request.client.request_id
        if len(given) > 64 or not given.isascii() or not self._addresses.trusts(request.peer):
            return
        for number, item in enumerate(call.items):
            item.message_id = item.message_id or f"{given}-{number}"

    def _arrival(self, call: Call, request: Request, site: Site) -> build.Arrival:
        client = request.client
        address, ip = self._place(request)
        masked = self._addresses.masked
        if site.cookieless:
            own = not call.anonymous and _by_browser(call, client)
            cookieless.rename(call, site, self._salt(), address, client.user_agent, own)
            ip, masked = None, _no_address
        return build.Arrival(
            site.name,
            clock.now_ms(),
            None if call.anonymous else ip,
            client.user_agent,
            client.gpc,
            self._limits,
            masked,
            client.dnt,
            1 if _by_browser(call, client) and bots.known(client.user_agent) else None,
            self._rules,
            self._scrub(call, request.body),
        )

    def _decline(self, call: Call, protocol: Protocol, request: Request, reply: Reply) -> None:
        """Nothing of it is kept: its visitors said no, or it was empty."""
        self.metrics.declined_events += call.declined
        answer = call.reply or protocol.answer([], call.declined)
        leaves = call.cookie and (call.declined or call.reset)
        goodbye = self._visitors.part(request) if leaves else None
        reply(goodbye.add_to(answer) if goodbye else answer)

    def _take_forwarded(
        self, call: Call, events: list[Event], protocol: Protocol, request: Request, reply: Reply
    ) -> None:
        edge = self._edge_keys.authenticate(call.key)
        if edge.sites:
            for site in {event.site for event in events}.difference(edge.sites):
                raise Refused(400, "invalid_event", f"edge {edge.name} has no say in site {site}")
        if not events:
            reply(protocol.answer([], 0))
            return
        text = None if self.suppressed else str(request.body, "utf-8")
        if self.suppressed:
            covers = self.suppressed.covers
            events = [emptied(event) if covers(event) else event for event in events]
        answer, refuse = protocol.answer([], len(events)), self._unavailable[protocol]
        self._writer.submit(events, [], len(request.body), reply, answer, refuse, edge.name, text)
        self.metrics.accepted_events += len(events)

    def _cannot_store(self, protocol: Protocol, error: CollectorError) -> Answer:
        if isinstance(error, Conflict):
            return protocol.error(Refused(409, "node_conflict", str(error)))
        self.metrics.unavailable_requests += 1
        return protocol.error(Refused(503, "unavailable", f"cannot store now: {error}"))

    def _rejects(self, call: Call, arrival: build.Arrival, blank: bool) -> list[Reject]:
        """`blank`: without the bytes, in which an address or an id may stand."""
        longest = 0 if blank else self._limits.event_bytes
        return [
            Reject(
                arrival.site,
                arrival.received_at,
                refusal.index,
                refusal.error.status,
                refusal.error.code,
                refusal.error.message[:_MESSAGE_CHARS],
                refusal.body[:longest],
            )
            for refusal in call.refused
        ]

    def _scrub(self, call: Call, body: bytes) -> Scrubber | None:
        # What came in a query or is another protocol's may be encoded in further ways.
        plain = body and call.named is None
        return None if plain and not self._scrubber.suspects(body) else self._scrubber

    def _place(self, request: Request) -> tuple[str, str | None]:
        """The client's address, and as it is stored."""
        place = self._addresses.place(request.peer, request.client.forwarded)
        self._watch.saw(place[0])
        return place


def _by_browser(call: Call, client: Client) -> bool:
    """Whether address and user agent are the visitor's: a server sends its own for them all."""
    return call.browser or client.origin is not None


def _no_address(text: str) -> None:
    return None


def _greeted(greeting: Greeting, reply: Reply, answer: Answer) -> None:
    reply(greeting.add_to(answer))


class AddressWatch:
    """Warns once an address when nearly all requests come from it: a proxy is missing from
    http.trusted_proxies, and visitors cannot be told apart."""

    ROUND = 1000
    SHARE = 0.95

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._seen = 0
        self._warned: set[str] = set()

    def saw(self, address: str) -> None:
        self._counts[address] = self._counts.get(address, 0) + 1
        self._seen += 1
        if self._seen >= self.ROUND:
            self._judge()
            self._counts.clear()
            self._seen = 0

    def _judge(self) -> None:
        address, count = max(self._counts.items(), key=lambda pair: pair[1])
        if count < self.SHARE * self.ROUND or address in self._warned:
            return
        self._warned.add(address)
        log.warning(
            "%d of the last %d requests come from %s: if that is a proxy, add it to "
            "http.trusted_proxies and let it send X-Forwarded-For",
            count,
            self.ROUND,
            address,
        )
