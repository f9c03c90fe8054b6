"""What is counted of the API's work, and the page of it that a reader may see.

Rules. Everything is counted by the marking of the answer, or of what its reader may have seen where it has none, and a
reader gets the sums over the markings that they read (statistics are never shared across markings). No name of a
person, project, model or document is counted by. What was answered before anybody was known (a wrong secret, a health
check) is everybody's.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from casemate.markings import Marking

BOUNDS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0)
Seen = Callable[[Marking], bool]


@dataclass(frozen=True)
class Request:
    """A request as it is counted: its route (a template, never a path), method and status."""

    route: str
    method: str
    status: int


@dataclass
class _Sums:
    requests: Counter[Request] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    spent_s: Counter[str] = field(default_factory=Counter)
    slower: Counter[tuple[str, float]] = field(default_factory=Counter)


@dataclass
class Tally:
    """Sums by marking (None: everybody's); safe for several threads."""

    _by_marking: dict[Marking | None, _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, request: Request, *, spent_s: float, marking: Marking | None) -> None:
        """Count a request that was answered in so many seconds."""
        with self._lock:
            sums = self._by_marking[marking]
            sums.requests[request] += 1
            sums.spent_s[request.route] += spent_s  # type: ignore[assignment]
            sums.slower[request.route, _bound(spent_s)] += 1

    def tokens(self, *, prompt: int, completion: int, marking: Marking) -> None:
        """Count the tokens of an answer."""
        with self._lock:
            self._by_marking[marking].tokens.update({"prompt": prompt, "completion": completion})

    def page(self, seen: Seen) -> bytes:
        """The sums over the markings that `seen` admits, in Prometheus' text format."""
        with self._lock:
            total = _Sums()
            for marking, sums in self._by_marking.items():
                if marking is None or seen(marking):
                    total.requests.update(sums.requests)
                    total.tokens.update(sums.tokens)
                    total.spent_s.update(sums.spent_s)
                    total.slower.update(sums.slower)
        registry = CollectorRegistry()
        registry.register(_Page(total))
        return generate_latest(registry)


class _Page(Collector):
    def __init__(self, sums: _Sums) -> None:
        self._sums = sums

    def collect(self) -> Iterable[Metric]:
        requests = CounterMetricFamily("casemate_requests", "Requests answered.", labels=("route", "method", "status"))
        for request, count in sorted(self._sums.requests.items(), key=str):
            requests.add_metric((request.route, request.method, str(request.status)), count)
        yield requests
        tokens = CounterMetricFamily("casemate_tokens", "Tokens of language models.", labels=("kind",))
        for kind, count in sorted(self._sums.tokens.items()):
            tokens.add_metric((kind,), count)
        yield tokens
        spent = HistogramMetricFamily("casemate_request_seconds", "Time to the end of an answer.", labels=("route",))
        for route in sorted(self._sums.spent_s):
            spent.add_metric((route,), self._buckets(route), self._sums.spent_s[route])
        yield spent

    def _buckets(self, route: str) -> list[tuple[str, float]]:
        found, total = [], 0
        for bound in (*BOUNDS_S, float("inf")):
            total += self._sums.slower[route, bound]
            found.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
        return found


def _bound(spent_s: float) -> float:
    return next((bound for bound in BOUNDS_S if spent_s <= bound), float("inf"))
