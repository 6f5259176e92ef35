"""OpenTelemetry traces: a span for every call, with a child span for every stage of the engine.

The server needs only OpenTelemetry's API package. With `--trace-endpoint`, spans are exported to a
collector. Otherwise they go to the tracer provider of the process, which an operator's own start-up
code can set. Without a provider, spans are dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, runtime_checkable
from urllib.parse import urlsplit

import grpc
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from base.errors import InputError
from search.result import StageReport

Stages: TypeAlias = Sequence[StageReport]  # the reports of one engine call, in order

_NAME = "shortlist.server"
_PROPAGATOR = TraceContextTextMapPropagator()

# A span with one of these codes is marked as an error. As in OpenTelemetry's conventions for gRPC,
# these are the codes for faults of the server. Faults of the caller are not marked.
_SERVER_ERRORS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


@runtime_checkable
class Exporter(Protocol):
    """A tracer provider that exports spans to `--trace-endpoint`."""

    def get_tracer(self, name: str, /) -> Tracer:
        """Return a tracer of exported spans."""

    def shutdown(self) -> None:
        """Send the remaining spans and stop."""


class CallSpan:
    """The span of one call."""

    def __init__(self, tracer: Tracer, span: Span):
        self._tracer = tracer
        self._span = span

    def finish(
        self,
        code: grpc.StatusCode,
        bundle_id: str | None,
        stages: Sequence[tuple[Stages, int]],
    ) -> str | None:
        """Add the call's data to the span and return the trace id; None for an unrecorded span.

        Args:
            code: The call's status code.
            bundle_id: The bundle that answered.
            stages: For each engine call, its stage reports and its end time in nanoseconds since
                1970.
        """
        span = self._span
        if not span.is_recording():
            return None
        span.set_attribute("rpc.grpc.status_code", code.value[0])
        if bundle_id is not None:
            span.set_attribute("shortlist.bundle_id", bundle_id)
        if code in _SERVER_ERRORS:
            span.set_status(Status(StatusCode.ERROR))
        parent = trace.set_span_in_context(span)
        for reports, end in stages:
            _stage_spans(self._tracer, parent, reports, end)
        return trace.format_trace_id(span.get_span_context().trace_id)


class CallTracer:
    """Creates the spans of calls."""

    def __init__(self, provider: TracerProvider | Exporter | None = None):
        """Prepare to trace calls.

        Args:
            provider: Receives the spans; None: the provider of the process.
        """
        provider = provider or trace.get_tracer_provider()
        self._tracer = provider.get_tracer(_NAME)

    @contextmanager
    def span(self, method: str, metadata: Mapping[str, Any]) -> Iterator[CallSpan]:
        """Begin the span of a call, as a child of the span in the metadata `traceparent`."""
        carrier = {key: value for key, value in metadata.items() if isinstance(value, str)}
        service, _, name = method.rpartition("/")
        with self._tracer.start_as_current_span(
            method,
            context=_PROPAGATOR.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
            record_exception=False,  # the exception may quote the query
            set_status_on_exception=False,
        ) as span:
            yield CallSpan(self._tracer, span)


def _stage_spans(tracer: Tracer, parent: Any, stages: Stages, end: int) -> None:
    """Create a span for each stage.

    The engine reports the duration of each stage, but not its start. The spans are therefore placed
    one after another without gaps, and the last span ends at `end`.
    """
    for stage in reversed(stages):
        start = end - int(stage.seconds * 1e9)
        attributes: dict[str, str | int] = {
            "shortlist.candidates": stage.candidates,
            "shortlist.cached": stage.cached,
        }
        if stage.plan:
            attributes["shortlist.plan"] = stage.plan
        span = tracer.start_span(
            f"stage {stage.name}", context=parent, attributes=attributes, start_time=start
        )
        span.end(end)
        end = start


def make_exporter(endpoint: str | None) -> Exporter | None:
    """Return an exporter of spans to an OTLP collector; None without an endpoint.

    Args:
        endpoint: The collector's URL for gRPC, such as "http://localhost:4317". "https:" uses
            TLS.

    Raises:
        InputError: The endpoint is not a valid URL, or the export packages are not installed.
    """
    if endpoint is None:
        return None
    check_endpoint(endpoint)
    try:
        # Optional packages, needed only for a collector.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - optional
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace import TracerProvider as SdkProvider  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - optional
    except ImportError as error:
        raise InputError(
            f"--trace-endpoint needs packages that are not installed ({error.name}): "
            "pip install 'shortlist[otel]'"
        ) from None
    service = os.environ.get("OTEL_SERVICE_NAME", "shortlist")
    provider = SdkProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    exporter: Exporter = provider
    return exporter


def check_endpoint(endpoint: str) -> None:
    """Raise InputError unless the endpoint is an http or https URL with a host."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            "--trace-endpoint: must be a URL with http:// or https:// and a host, "
            "such as http://localhost:4317"
        )
