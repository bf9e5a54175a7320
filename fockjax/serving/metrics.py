"""The metrics of the server, for Prometheus."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.exposition import generate_latest

from fockjax.inference import Predictions
from fockjax.runtime.run_record import RunRecord

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256)
LEAKAGE = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 1.0)

__all__ = ["CONTENT_TYPE", "Metrics"]


class Metrics:
    """The counters of one server; `text` is what Prometheus reads."""

    def __init__(self):
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.requests = counter(
            "fockjax_requests",
            'Requests by route and status; the route is "none" for those that reach none.',
            ["route", "status"],
        )
        self.seconds = histogram(
            "fockjax_request_seconds",
            "Time from the first byte of a request until its answer is ready.",
            ["route"],
            buckets=SECONDS,
        )
        self.batch_rows = histogram("fockjax_batch_rows", "Rows of a batch.", buckets=ROWS)
        self.batch_seconds = histogram(
            "fockjax_batch_seconds", "Time that a batch took.", buckets=SECONDS
        )
        self.leakage = histogram(
            "fockjax_leakage", "Largest probability lost to the cutoff in a batch.", buckets=LEAKAGE
        )
        self.not_finite = counter("fockjax_rows_not_finite", "Rows whose result was not finite.")
        self.dropped = counter(
            "fockjax_dropped",
            "Requests dropped before they ran, because they expired or the client vanished.",
            ["reason"],
        )
        self.recoveries = counter(
            "fockjax_recoveries", "Faults of the device from which a batch recovered."
        )
        self.failures = counter(
            "fockjax_failed_batches",
            "Batches that failed for good; their requests were answered with an error.",
        )
        self.compiles = counter("fockjax_compiles", "Programs compiled.")
        self.reloads = counter(
            "fockjax_reloads", "Reloads of the model, by whether the new one was taken.", ["taken"]
        )
        self.probes = counter(
            "fockjax_probes", "Answers to the probe row, by whether they were right.", ["right"]
        )
        for reason in ("expired", "vanished"):
            self.dropped.labels(reason)
        # Looking up the labels takes longer than counting.
        self._of_route = cache(self.seconds.labels)
        self._of_status = cache(lambda route, status: self.requests.labels(route, str(status)))

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is looked up when Prometheus asks."""
        Gauge(f"fockjax_{name}", what, registry=self.registry).set_function(value)

    def request(self, route: str, status: int, seconds: float) -> None:
        self._of_status(route, status).inc()
        self._of_route(route).observe(seconds)

    def unrouted(self, status: int) -> None:
        """Count a request that is answered before it reaches a route."""
        self._of_status("none", status).inc()

    def batch(self, rows: int, record: RunRecord, found: Predictions | None) -> None:
        """Count a batch, which gave nothing if it failed."""
        self.batch_rows.observe(rows)
        self.batch_seconds.observe(record.seconds["total"])
        self.recoveries.inc(len(record.recoveries))
        if found is None:
            self.failures.inc()
            return
        finite = found.leakage[np.isfinite(found.leakage)]
        if finite.size:  # a NaN would stay in the sum for good
            self.leakage.observe(float(finite.max()))
        self.not_finite.inc(record.not_finite)

    def text(self) -> bytes:
        return generate_latest(self.registry)
