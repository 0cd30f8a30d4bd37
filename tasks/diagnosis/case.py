"""
The one request that a diagnosis is about: what its caller saw, the line of the log that tells of
it, and where the configuration sends it. How it ended is read in ``endings``, the objects that are
behind it are found in ``owners``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tasks.checks.findings import Severity
from tasks.diagnosis import causes, config, endings, flags, prometheus, routing
from tasks.diagnosis.answered import answered
from tasks.diagnosis.asking import bare
from tasks.diagnosis.causes import AnsweredBy, Cause
from tasks.diagnosis.config import Chain, Cluster, Configuration, Endpoint, Listener, Route
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.evidence import Entry, Evidence, Exchange, Proxy, Request
from tasks.diagnosis.objects import Objects, Rule, at, rule_of
from tasks.diagnosis.routing import Matched


@dataclass(frozen=True)
class Case:
    """
    + exchange, entry: what its caller saw, and its line in a log; one of both may be None
    + earlier: other requests of the same evidence with their lines, oldest first
    """

    evidence: Evidence
    exchange: Exchange | None
    entry: Entry | None
    objects: Objects
    earlier: Sequence[tuple[Exchange | None, Entry | None]] = field(default=())

    # What happened.

    @cached_property
    def request(self) -> Request:
        if self.exchange is not None:
            return self.exchange.request
        return self.entry.request if self.entry is not None else Request()

    @property
    def status(self) -> int | None:
        """What its caller got; of the log where nobody tells; None where no response came."""
        if self.exchange is not None:
            return self.exchange.status
        return (self.entry.status or None) if self.entry is not None else None

    @cached_property
    def flags(self) -> frozenset[str]:
        return frozenset(flags.flags_of(self.entry)) if self.entry is not None else frozenset()

    @cached_property
    def details(self) -> str:
        """How Envoy says that it ended, such as "route_not_found"; "" where nothing tells."""
        return endings.details(self)

    @property
    def error(self) -> str:
        """What its caller was told instead of a response, such as "Connection refused"."""
        return (self.exchange.error or "") if self.exchange is not None else ""

    def header(self, name: str) -> str:
        """Of the response, "" without."""
        return self.exchange.header(name) if self.exchange is not None else ""

    @cached_property
    def _answered(self) -> tuple[AnsweredBy, str]:
        if self.entry is None and self.status is not None and self._asks_nobody():
            return "envoy", "config_dump.json: no route of the request leads to a backend"
        return answered(self.exchange, self.entry)

    def _asks_nobody(self) -> bool:
        it = self.matched
        if it is None or it.table is None:
            return False
        return it.route is None or it.route.answers_itself

    @property
    def answered_by(self) -> AnsweredBy:
        return self._answered[0]

    @property
    def reason(self) -> str:
        return self._answered[1]

    @cached_property
    def grpc_status(self) -> str:
        return endings.grpc_status(self.exchange, self.entry)

    @property
    def broken(self) -> bool:
        """Whether the response was cut off after it had begun."""
        return "after_response_started" in self.details or (
            self.exchange is not None
            and self.exchange.status is not None
            and self.exchange.error is not None
        )

    @cached_property
    def failed(self) -> bool:
        if self.broken or self.grpc_status:
            return True
        if self.exchange is not None:
            return self.exchange.status is None or self.exchange.status >= 400
        return self.entry is not None and endings.failed(self.entry)

    # Where it went.

    @cached_property
    def proxy(self) -> Proxy | None:
        """That wrote the line; else the one that gets furthest with the request; else the first."""
        source = self.entry.source if self.entry is not None else ""
        named = [it for it in self.evidence.proxies if it.name == source]
        proxies = named or list(self.evidence.proxies)
        return max(proxies, key=self._reach) if len(proxies) > 1 else next(iter(proxies), None)

    def _reach(self, proxy: Proxy) -> int:
        if proxy.config is None:
            return 0
        it = routing.matched(proxy.config, self.request)
        return 1 + sum(part is not None for part in (it.listener, it.chain, it.host, it.route))

    @property
    def configuration(self) -> Configuration | None:
        return self.proxy.config if self.proxy is not None else None

    @cached_property
    def matched(self) -> Matched | None:
        """None where no configuration is known, or too little of the request."""
        if self.configuration is None or (not self.request.host and self.entry is None):
            return None
        it = self.entry
        port, local = (it.port, it.local or None) if it is not None else (None, None)
        return routing.matched(self.configuration, self.seen, port=port, local=local)

    @property
    def seen(self) -> Request:
        """The request as the log says that it came, with the name of its handshake."""
        entry, request = self.entry, self.request
        if entry is None or not entry.sni or entry.sni == request.sni:
            return request
        return replace(request, sni=entry.sni, scheme="https")

    @property
    def listener(self) -> Listener | None:
        return self.matched.listener if self.matched is not None else None

    @property
    def chain(self) -> Chain | None:
        return self.matched.chain if self.matched is not None else None

    @cached_property
    def route(self) -> Route | None:
        """The one that the log names; else the one that matches."""
        named = self.entry.route if self.entry is not None else None
        if named and self.configuration is not None:
            for it in self.configuration.routes:
                if it.name == named:
                    return it
        if named == "" and "NR" in self.flags:
            return None
        return self.matched.route if self.matched is not None else None

    def of_route(self, *keys: str) -> Any:
        """What the route has under the keys, as Envoy has it; None without."""
        return at(self.route.raw if self.route is not None else None, *keys)

    @property
    def filters_of_route(self) -> tuple[str, ...]:
        """Names of HTTP filters that are configured for the route."""
        per_route = self.of_route("typed_per_filter_config")
        return tuple(per_route) if isinstance(per_route, dict) else ()

    @property
    def cluster_name(self) -> str:
        if self.entry is not None and self.entry.upstream_cluster:
            return self.entry.upstream_cluster
        clusters = self.route.clusters if self.route is not None else {}
        return max(clusters, key=lambda it: clusters[it], default="")

    @property
    def cluster(self) -> Cluster | None:
        return self.configuration.clusters.get(self.cluster_name) if self.configuration else None

    def of_cluster(self, *keys: str) -> Any:
        """What the cluster has under the keys, as Envoy has it; None without."""
        return at(self.cluster.raw if self.cluster is not None else None, *keys)

    @property
    def upstream_host(self) -> str:
        """The endpoint that the log names, such as "10.0.0.7:3000"; "" without."""
        return (self.entry.upstream_host or "") if self.entry is not None else ""

    @cached_property
    def endpoints(self) -> tuple[Endpoint, ...] | None:
        """Of the cluster, with their health where /clusters was read; None: not known."""
        return self.endpoints_of(self.cluster_name)

    def endpoints_of(self, cluster: str) -> tuple[Endpoint, ...] | None:
        if self.proxy is None or not cluster:
            return None
        if cluster in self._healths:
            return self._healths[cluster]
        it = self.configuration.clusters.get(cluster) if self.configuration is not None else None
        return it.endpoints if it is not None else None

    @cached_property
    def _healths(self) -> Mapping[str, tuple[Endpoint, ...]]:
        """By cluster, as /clusters tells them."""
        it = self.proxy
        if it is None:
            return {}
        texts = config.healths_of_text(it.clusters_text) if it.clusters_text is not None else {}
        return {**texts, **(config.healths(it.clusters) if it.clusters is not None else {})}

    def stat(self, name: str) -> float | None:
        """A counter of the cluster, such as "lb_healthy_panic"."""
        if self.proxy is None or self.proxy.stats is None:
            return None
        return prometheus.of(self.proxy.stats, f"cluster.{self.cluster_name}", name)

    def counted(self, pattern: str) -> float:
        """Sum of all counters of such a name."""
        stats = self.proxy.stats if self.proxy is not None else None
        wanted = re.compile(pattern)
        return sum(v for k, v in (stats or {}).items() if wanted.search(k))

    @cached_property
    def rule(self) -> Rule | None:
        """Of the route's object: by Envoy's names, else as the objects themselves say."""
        names = [self.route.name if self.route is not None else "", self.cluster_name]
        if self.entry is not None:
            names.insert(0, self.entry.route or "")
        named = next((it for one in names if (it := rule_of(one)) is not None), None)
        if named is not None or self.matched is not None or "NR" in self.flags:
            return named
        request = self.request
        return self.objects.rule_for(bare(request.host), request.method, request.path)

    @property
    def rule_index(self) -> int:
        return self.rule.index if self.rule is not None else 0

    @cached_property
    def from_gateway(self) -> bool:
        """Whether the proxy is Envoy Gateway's, whose parts have names of objects."""
        if self.rule is not None:
            return True
        if self.objects.known and any(self.objects.of("Gateway")):
            return True
        routes = self.configuration.routes if self.configuration is not None else ()
        return any(rule_of(it.name) for it in routes)

    # What is said of it.

    @property
    def where(self) -> str:
        """Such as "GET cart.example.com/cart", for sentences."""
        return f"{self.request.method} {self.request.host}{self.request.path.partition('?')[0]}"

    @property
    def place(self) -> str:
        """Such as "edge/public, listener edge/public/http"."""
        proxy = self.proxy.name if self.proxy is not None else ""
        parts = [proxy, f"listener {self.listener.name}" if self.listener is not None else ""]
        return ", ".join(it for it in parts if it)

    @cached_property
    def seen_lines(self) -> tuple[str, ...]:
        """What was read of this request, literally."""
        found = []
        if self.exchange is not None:
            got = f"status {self.exchange.status}" if self.exchange.status else "no response"
            error = f", {self.exchange.error}" if self.exchange.error else ""
            body = f", body {self.exchange.body[:120]!r}" if self.exchange.body else ""
            found.append(f"client.json: {self.where}: {got}{error}{body}")
        it = self.entry
        if it is not None:
            words = [
                f'{name} "{value or "-"}"'
                for name, value in (
                    ("response_code", str(it.status) if it.status is not None else None),
                    ("response_flags", it.flags),
                    ("response_code_details", it.details),
                    ("upstream_host", it.upstream_host),
                    ("requested_server_name", it.sni),
                    ("upstream_transport_failure_reason", it.failure or None),
                )
                if value is not None
            ]
            found.append(f"{it.source}:{it.line}: {', '.join(words)}")
        return tuple(found)

    def found(
        self,
        cause: Cause,
        object: Ref,
        field: str,
        sentence: str,
        fix: str,
        *evidence: str,
        answered_by: AnsweredBy | None = None,
        confidence: float = 0.95,
        severity: Severity = "error",
    ) -> Found:
        return Found(
            code=causes.CODES[cause],
            cause=cause,
            answered_by=answered_by or self.answered_by,
            object=object,
            field=field,
            sentence=sentence,
            fix=fix,
            evidence=(*self.seen_lines, *(it for it in evidence if it)),
            confidence=confidence,
            severity=severity,
            where=self.place,
        )
