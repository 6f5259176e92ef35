"""Metrics for Prometheus. Labels never contain data of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from behaviour.feedback import Feedback, FeedbackReport
from bert.compilation_cache import cached_programs
from live.catalogue import LiveCatalogue, LiveReport
from search.engine import Engine
from search.result import Answer, SearchResult, StageReport
from server.worker_pool import WorkerPool

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
_ITEMS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """The metrics of one server.

    Attributes:
        registry: Holds all metrics.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self._calls = Counter(
            "shortlist_calls", "Calls that ended.", ("method", "code"), registry=registry
        )
        self._call_seconds = _seconds("shortlist_call_seconds", "Calls.", registry, "method")
        self._stage_seconds = _seconds(
            "shortlist_stage_seconds", "Stages of the engine.", registry, "stage"
        )
        self._queue_seconds = _seconds(
            "shortlist_queue_seconds", "Waits of jobs for a thread.", registry
        )
        self._batch_rows = Histogram(
            "shortlist_batch_rows", "Rows of a batch.", buckets=_ROWS, registry=registry
        )
        self._batch_calls = Histogram(
            "shortlist_batch_calls", "Calls that shared a batch.", buckets=_ROWS, registry=registry
        )
        self._degradations = Counter(
            "shortlist_degradations",
            "Answers that left something out, such as some of the reranking.",
            ("kind",),
            registry=registry,
        )
        self._nothing_fits = Counter(
            "shortlist_nothing_fits", "Searches that no item fits.", registry=registry
        )
        self._recalled = _items(
            "shortlist_recalled_items", "Candidates that recall found for an answer.", registry
        )
        self._reranked = _items(
            "shortlist_reranked_items", "Candidates of an answer that were reranked.", registry
        )

    def watch_state(
        self,
        pool: WorkerPool,
        engine: Callable[[], Engine | None],
        live: Callable[[], LiveCatalogue | None],
        feedback: Callable[[], Feedback | None],
    ) -> None:
        """Export the current state of the pool, the engine, the live catalogue and the event log.

        `engine`, `live` and `feedback` return None until the server has loaded them.
        """
        self.registry.register(_StateCollector(pool, engine, live, feedback))

    def count_call(self, method: str, code: str, seconds: float) -> None:
        """Count a call and observe its duration."""
        self._calls.labels(method, code).inc()
        self._call_seconds.labels(method).observe(seconds)

    def count_refusal(self, method: str) -> None:
        """Count a call that was refused unread; do not observe its duration."""
        self._calls.labels(method, "RESOURCE_EXHAUSTED").inc()

    def observe_stages(self, stages: Iterable[StageReport]) -> None:
        """Observe the durations of the engine's stages, including stages of failed calls."""
        for stage in stages:
            self._stage_seconds.labels(stage.name).observe(stage.seconds)

    def observe_answer(self, method: str, result: Answer) -> None:
        """Count the degradations of an answer, and observe its numbers of candidates."""
        if not isinstance(result, SearchResult):
            return
        for degradation in result.degradations:
            self._degradations.labels(degradation.value).inc()
        self._nothing_fits.inc(result.nothing_fits)
        if any(stage.name == "recall" for stage in result.stages):
            self._recalled.labels(method).observe(result.recalled)
        if result.rerank_target:
            self._reranked.labels(method).observe(result.reranked)

    def observe_wait(self, seconds: float) -> None:
        """Observe how long a job waited in the queue."""
        self._queue_seconds.observe(seconds)

    def observe_batch(self, rows: int, calls: int) -> None:
        """Observe the numbers of rows and calls in a batch of model work."""
        self._batch_rows.observe(rows)
        self._batch_calls.observe(calls)


def _seconds(name: str, of: str, registry: CollectorRegistry, *labels: str) -> Histogram:
    return Histogram(name, f"Seconds: {of}", labels, buckets=_SECONDS, registry=registry)


def _items(name: str, help_text: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, help_text, ("method",), buckets=_ITEMS, registry=registry)


class _StateCollector(Collector):
    """Metrics whose values are read at each scrape."""

    def __init__(
        self,
        pool: WorkerPool,
        engine: Callable[[], Engine | None],
        live: Callable[[], LiveCatalogue | None],
        feedback: Callable[[], Feedback | None],
    ):
        self._pool = pool
        self._engine = engine
        self._live = live
        self._feedback = feedback

    def describe(self) -> Iterable[Metric]:
        """Return nothing; the metrics of `collect` include their descriptions."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield _gauge("shortlist_queue_jobs", "Jobs that wait for a thread.", self._pool.waiting)
        yield _gauge("shortlist_running_jobs", "Jobs that run.", self._pool.running)
        engine = self._engine()
        if engine is not None:
            yield from _engine_metrics(engine)
        live = self._live()
        if live is not None:
            yield from _live_metrics(live.report())
        feedback = self._feedback()
        if feedback is not None:
            yield from _event_metrics(feedback.report())
        programs = CounterMetricFamily(
            "shortlist_programs",
            "Programs compiled, and read from the compilation cache, by this process.",
            labels=("origin",),
        )
        for origin, count in cached_programs().items():
            programs.add_metric((origin,), count)
        yield programs


def _engine_metrics(engine: Engine) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "shortlist_bundle_info", "1 for the bundle that serves.", labels=("bundle_id",)
    )
    info.add_metric((engine.bundle_id,), 1)
    yield info
    yield _gauge(
        "shortlist_bundle_created_timestamp_seconds",
        "When the bundle that serves was built, in seconds since 1970.",
        datetime.fromisoformat(engine.manifest.created).timestamp(),
    )
    yield _gauge("shortlist_items", "Items of the catalogue.", len(engine.snapshot.catalogue))
    yield _gauge(
        "shortlist_model_shapes", "Input shapes that models are compiled for.", engine.compilations
    )
    families: dict[str, Any] = {
        "entries": GaugeMetricFamily("shortlist_cache_entries", "Entries.", labels=("cache",)),
        "bytes": GaugeMetricFamily("shortlist_cache_bytes", "Memory.", labels=("cache",)),
        "hits": CounterMetricFamily(
            "shortlist_cache_hits", "Look-ups that found an entry.", labels=("cache",)
        ),
        "misses": CounterMetricFamily(
            "shortlist_cache_misses", "Look-ups that found no entry.", labels=("cache",)
        ),
    }
    for name, report in engine.cache_reports().items():
        for attribute, family in families.items():
            family.add_metric((name,), getattr(report, attribute))
    yield from families.values()


def _live_metrics(report: LiveReport) -> Iterator[Metric]:
    sequence = GaugeMetricFamily(
        "shortlist_write_sequence",
        "Number of the last write on disk, and of the last one that searches find.",
        labels=("state",),
    )
    sequence.add_metric(("durable",), report.sequence)
    sequence.add_metric(("visible",), report.visible_sequence)
    yield sequence
    yield _gauge("shortlist_pending_items", "Items that wait to be indexed.", report.pending)
    yield _gauge(
        "shortlist_oldest_pending_seconds",
        "How long the oldest item that waits to be indexed has waited.",
        report.oldest_wait,
    )
    yield _gauge("shortlist_set_aside_items", "Items that could not be encoded.", report.set_aside)
    rows = GaugeMetricFamily(
        "shortlist_changed_rows",
        "Rows added to the bundle's index, and dead rows.",
        labels=("kind",),
    )
    rows.add_metric(("added",), report.added)
    rows.add_metric(("dead",), report.dead)
    yield rows
    freshness = GaugeMetricFamily(
        "shortlist_freshness_seconds",
        "Time from a write's acknowledgement until searches find it, for the last indexed items.",
        labels=("quantile",),
    )
    for quantile, seconds in zip(("0.5", "0.99"), report.freshness or (), strict=False):
        freshness.add_metric((quantile,), seconds)
    yield freshness
    recall = GaugeMetricFamily(
        "shortlist_index_recall",
        "Share of the exact 10 nearest items that the index finds, when last measured.",
    )
    if report.recall is not None:
        recall.add_metric((), report.recall)
    yield recall
    yield CounterMetricFamily(
        "shortlist_compactions", "Bundles built from written items.", value=report.compactions
    )
    yield CounterMetricFamily(
        "shortlist_failed_compactions",
        "Compactions that built no bundle.",
        value=report.failed_compactions,
    )


def _event_metrics(report: FeedbackReport) -> Iterator[Metric]:
    events = CounterMetricFamily(
        "shortlist_events", "Events of people, by what became of them.", labels=("outcome",)
    )
    for outcome, count in report.outcomes.items():
        events.add_metric((outcome,), count)
    yield events
    yield _gauge("shortlist_event_log_bytes", "Size of the event log.", report.log_bytes)
    for name, help_text, time in (
        ("oldest_event", "Time of the earliest event in the log", report.oldest_event),
        ("last_event_append", "When events became durable last", report.last_append),
    ):
        gauge = GaugeMetricFamily(
            f"shortlist_{name}_timestamp_seconds", f"{help_text}, in seconds since 1970."
        )
        if time is not None:
            gauge.add_metric((), time)
        yield gauge


def _gauge(name: str, help_text: str, value: int | float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)
