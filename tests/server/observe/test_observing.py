"""Metrics and traces of calls contain nothing private."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.parser import text_string_to_metric_families

from base.errors import InputError
from search.bundle import Manifest
from search.engine import Engine
from search.request import SearchRequest
from search.result import SearchResult
from search.runtime.batching import current_context
from server.config import ServerConfig
from server.observe.metrics import Metrics
from server.observe.tracing import make_exporter
from shortlist.client import Client
from shortlist.v1 import search_service_pb2
from shortlist.v1.item_pb2 import Item
from tests.server.conftest import Running
from tests.server.observe.failing_calls import (
    QUERY,
    SECRETS,
    fail,
    make_mistakes,
    stub,
)
from tests.timing import SOON, eventually

Serving = Callable[..., AbstractContextManager[Any]]
STAGES = ["encode", "recall", "features", "rerank"]


@pytest.fixture
def client(observed: Running) -> Iterator[Client]:
    with Client(observed.address, timeout_seconds=30) as client:
        yield client


# ---- metrics


def test_searches_that_no_item_fits_are_counted():
    metrics = Metrics()
    for nothing_fits in (True, False, True):
        result = SearchResult((), (), recalled=0, reranked=0, nothing_fits=nothing_fits)
        metrics.observe_answer("Search", result)
    assert metrics.registry.get_sample_value("shortlist_nothing_fits_total") == 2


def scrape(observed: Running) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the value of each metric sample by its name and labels."""
    url = f"http://127.0.0.1:{observed.service.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=SOON) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_calls_stages_and_candidates_are_counted(observed: Running, client: Client) -> None:
    search = "shortlist.v1.SearchService/Search"
    calls = key("shortlist_calls_total", method=search, code="OK")
    before = scrape(observed)
    for _ in range(2):
        client.search("hdmi cable for counters", recall_depth=20, rerank_depth=7)
    after = eventually(
        lambda: now if (now := scrape(observed))[calls] - before.get(calls, 0) >= 2 else None
    )

    def grown(name: str, **labels: str) -> float:
        return after[key(name, **labels)] - before.get(key(name, **labels), 0)

    assert grown("shortlist_calls_total", method=search, code="OK") == 2
    assert grown("shortlist_call_seconds_count", method=search) == 2
    assert grown("shortlist_call_seconds_sum", method=search) > 0
    for stage in STAGES:
        assert grown("shortlist_stage_seconds_count", stage=stage) == 2
    for kind, items in (("recalled", 20), ("reranked", 7)):
        name = f"shortlist_{kind}_items"
        assert grown(f"{name}_count", method=search) == 2
        assert grown(f"{name}_sum", method=search) == 2 * items
        at_most = {at: grown(f"{name}_bucket", method=search, le=f"{at}.0") for at in (5, 10, 20)}
        assert at_most == {at: 2 * (items <= at) for at in (5, 10, 20)}
    assert grown("shortlist_queue_seconds_count") == 2
    # The second search finds the query's vector and all pairs in the caches.
    assert grown("shortlist_cache_misses_total", cache="queries") == 1
    assert grown("shortlist_cache_hits_total", cache="queries") == 1
    assert grown("shortlist_cache_hits_total", cache="pairs") == 7
    assert grown("shortlist_batch_rows_sum") == 8  # one query and seven pairs
    assert grown("shortlist_batch_calls_count") == grown("shortlist_batch_calls_sum")


def test_stages_of_embed_and_batch_get_items_are_counted(observed: Running, client: Client) -> None:
    encode = key("shortlist_stage_seconds_count", stage="encode")
    lookup = key("shortlist_stage_seconds_count", stage="lookup")
    before = scrape(observed)
    client.embed(["a query", Item(title="a lamp")])
    fail(lambda: client.get_item("hush-17"))
    client.batch_get_items(["hush-17"])
    after = eventually(
        lambda: (
            now if (now := scrape(observed)).get(lookup, 0) - before.get(lookup, 0) >= 2 else None
        )
    )
    assert after[lookup] - before.get(lookup, 0) == 2
    assert after[encode] - before.get(encode, 0) == 2


def test_errors_are_counted_by_code(observed: Running, client: Client) -> None:
    fail(lambda: client.get_item("hush-17"))
    wanted = key(
        "shortlist_calls_total", method="shortlist.v1.CatalogService/GetItem", code="NOT_FOUND"
    )
    assert eventually(lambda: scrape(observed).get(wanted)) >= 1


def test_depths_are_counted_only_for_methods_that_have_the_stage(
    observed: Running, client: Client
) -> None:
    retrieve, rerank = "shortlist.v1.RetrievalService/Retrieve", "shortlist.v1.RerankService/Rerank"

    def items(kind: str, method: str) -> float | None:
        return scrape(observed).get(key(f"shortlist_{kind}_items_sum", method=method))

    before = items("recalled", retrieve) or 0, items("reranked", rerank) or 0
    ids = [hit.item_id for hit in client.retrieve(QUERY, page_size=30).results]
    client.rerank(QUERY, ids[:3])
    eventually(lambda: (items("reranked", rerank) or 0) - before[1] == 3)
    assert (items("recalled", retrieve) or 0) - before[0] == 30
    assert items("recalled", rerank) is None
    assert items("reranked", retrieve) is None


def test_the_state_of_the_server_can_be_read_off(
    observed: Running, client: Client, config: ServerConfig
) -> None:
    response = client.search(QUERY)
    found = scrape(observed)
    assert found[key("shortlist_bundle_info", bundle_id=response.bundle_id)] == 1
    created = datetime.fromisoformat(Manifest.read(config.bundle).created)
    assert found[key("shortlist_bundle_created_timestamp_seconds")] == created.timestamp()
    assert found[key("shortlist_items")] == 48
    assert found[key("shortlist_queue_jobs")] == 0
    assert found[key("shortlist_running_jobs")] == 0
    assert found[key("shortlist_model_shapes")] > 0
    assert found[key("shortlist_cache_entries", cache="queries")] >= 1
    assert found[key("shortlist_cache_bytes", cache="pairs")] > 0
    assert found[key("process_resident_memory_bytes")] > 2**20
    for origin in ("compiled", "read"):
        assert key("shortlist_programs_total", origin=origin) in found


def test_nothing_private_is_in_a_label(observed: Running, client: Client) -> None:
    make_mistakes(observed, client)
    with grpc.insecure_channel(observed.address) as channel:
        unknown = channel.unary_unary("/shortlist.v1.SearchService/zanzibar")
        with pytest.raises(grpc.RpcError):
            unknown(b"", timeout=SOON)
    for name, labels in scrape(observed):
        assert not [secret for secret in SECRETS if secret in f"{name} {dict(labels)}"]


@pytest.mark.parametrize("path", ["/", "/metrics/x", "/healthz", "/favicon.ico"])
def test_metrics_are_all_there_is(observed: Running, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(
            f"http://127.0.0.1:{observed.service.metrics_port}{path}", timeout=SOON
        )
    with refused.value:
        assert refused.value.code == 404


def test_without_a_port_no_metrics_are_served(config: ServerConfig, serving: Serving) -> None:
    with serving(config) as running:
        assert running.service.metrics_port is None


def test_a_port_for_metrics_that_is_taken_is_named(config: ServerConfig, serving: Serving) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(InputError, match=f"--metrics-port {port}: .*in use"),
            serving(replace(config, metrics_port=port)),
        ):
            pass


# ---- traces


def spans_of(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Return all spans since the exporter was cleared; a test makes one call in between."""

    def found() -> list[ReadableSpan]:
        spans = list(exporter.get_finished_spans())
        return spans if any(span.kind is SpanKind.SERVER for span in spans) else []

    spans: list[ReadableSpan] = eventually(found)
    return spans


def test_a_call_is_a_span_of_the_callers_trace_with_one_per_stage(
    observed: Running, exporter: InMemorySpanExporter
) -> None:
    exporter.clear()
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with stub(observed.address) as search:
        response = search.Search(
            search_service_pb2.SearchRequest(query=QUERY),
            timeout=30,
            metadata=[("traceparent", f"00-{trace}-{parent}-01")],
        )
    spans = spans_of(exporter)
    [call] = [span for span in spans if span.kind is SpanKind.SERVER]
    assert call.name == "shortlist.v1.SearchService/Search"
    assert call.parent is not None
    assert (call.parent.trace_id, call.parent.span_id) == (int(trace, 16), int(parent, 16))
    assert dict(call.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": "shortlist.v1.SearchService",
        "rpc.method": "Search",
        "rpc.grpc.status_code": 0,
        "shortlist.bundle_id": response.bundle_id,
    }
    stages = sorted(
        (span for span in spans if span is not call), key=lambda span: span.start_time or 0
    )
    assert [span.name for span in stages] == [f"stage {name}" for name in STAGES]
    assert [stage.name for stage in response.stages] == STAGES
    for span, stage in zip(stages, response.stages, strict=True):
        assert span.parent is not None
        assert span.parent.span_id == call.context.span_id
        assert span.end_time is not None
        assert span.start_time is not None
        took = span.end_time - span.start_time
        assert took == pytest.approx(stage.duration.ToNanoseconds(), abs=1_000)
        assert (span.attributes or {})["shortlist.candidates"] == stage.candidate_count


class LeftAfterRecall(Engine):
    """An engine whose callers leave after recall."""

    def search(self, request: SearchRequest, *_: Any, **options: Any) -> SearchResult:
        caller = current_context()
        assert caller is not None
        return super().search(request, lambda _: caller.cancel(), **options)


def test_stages_of_a_call_without_an_answer_are_counted_and_traced(
    observed: Running, client: Client, exporter: InMemorySpanExporter
) -> None:
    exporter.clear()
    recall = key("shortlist_stage_seconds_count", stage="recall")
    before = scrape(observed).get(recall, 0)
    with observed.answering_with(LeftAfterRecall):
        assert fail(lambda: client.search(QUERY)).reason == "DEADLINE_PASSED"
    spans = spans_of(exporter)
    [call] = [span for span in spans if span.kind is SpanKind.SERVER]
    stages = [span for span in spans if span is not call]
    assert {span.name for span in stages} == {"stage encode", "stage recall"}
    assert {span.parent and span.parent.span_id for span in stages} == {call.context.span_id}
    assert scrape(observed)[recall] - before == 1


def test_only_server_faults_are_error_spans_and_no_span_has_the_query(
    observed: Running, client: Client, exporter: InMemorySpanExporter
) -> None:
    exporter.clear()
    make_mistakes(observed, client)
    codes = grpc.StatusCode

    def statuses() -> dict[Any, StatusCode]:
        return {
            (span.attributes or {})["rpc.grpc.status_code"]: span.status.status_code
            for span in exporter.get_finished_spans()
            if span.kind is SpanKind.SERVER
        }

    # The internal fault is the last call.
    status = eventually(lambda: found if codes.INTERNAL.value[0] in (found := statuses()) else None)
    assert status[codes.INVALID_ARGUMENT.value[0]] is StatusCode.UNSET
    assert status[codes.NOT_FOUND.value[0]] is StatusCode.UNSET
    assert status[codes.INTERNAL.value[0]] is StatusCode.ERROR
    for span in exporter.get_finished_spans():
        assert not [secret for secret in SECRETS if secret in span.to_json()]


def test_traces_to_a_collector_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(InputError, match=r"pip install 'shortlist\[otel\]'"):
        make_exporter("http://127.0.0.1:4317")


@pytest.mark.parametrize("endpoint", ["localhost:4317", "ftp://host", "http://", "nonsense"])
def test_a_trace_endpoint_is_a_url(config: ServerConfig, endpoint: str) -> None:
    with pytest.raises(InputError, match="--trace-endpoint"):
        replace(config, trace_endpoint=endpoint)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A trace collector that keeps the names of the spans that it receives."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(self, request: Any, _: object) -> Any:  # noqa: N802 - gRPC's name
        for resource in request.resource_spans:
            self.names += [span.name for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


def test_a_stop_sends_the_remaining_spans(config: ServerConfig, serving: Serving) -> None:
    collector = Collector()
    receiver = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, receiver)
    port = receiver.add_insecure_port("127.0.0.1:0")
    receiver.start()
    with (
        serving(replace(config, trace_endpoint=f"http://127.0.0.1:{port}")) as running,
        Client(running.address, timeout_seconds=30) as client,
    ):
        client.search(QUERY)
    receiver.stop(None).wait()
    assert collector.names == [
        *(f"stage {name}" for name in reversed(STAGES)),
        "shortlist.v1.SearchService/Search",
    ]


def test_the_extra_is_not_needed_without_a_collector() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "sys.modules['opentelemetry.exporter'] = None\n"
        "import server.service\n"
        "from server.observe.tracing import CallTracer, make_exporter\n"
        "assert make_exporter(None) is None\n"
        "with CallTracer().span('a/B', {}) as span:\n"
        "    import grpc\n"
        "    assert span.finish(grpc.StatusCode.OK, None, []) is None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
