"""OpenTelemetry: a span for every call and one for every stage of the engine within it.

Only OpenTelemetry's interface is needed. Spans go nowhere unless the process has a tracer provider,
which an operator's own start-up code sets, or `--trace-endpoint`.
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

Stages: TypeAlias = Sequence[StageReport]  # of one piece of the engine's work, in order

_NAME = "shortlist.server"
_PROPAGATOR = TraceContextTextMapPropagator()

# The codes that are the server's fault; a caller's mistake is no error of ours. As OpenTelemetry's
# conventions for gRPC have it.
_FAULTS = frozenset(
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
    """What is behind `--trace-endpoint`: a provider of tracers that can be shut down."""

    def get_tracer(self, name: str, /) -> Tracer:
        """Returns a tracer whose spans are exported."""

    def shutdown(self) -> None:
        """Sends what waits and stops."""


class CallSpan:
    """The span of one call."""

    def __init__(self, tracer: Tracer, span: Span):
        self._tracer = tracer
        self._span = span

    def finish(
        self,
        code: grpc.StatusCode,
        bundle_id: str | None,
        worked: Sequence[tuple[Stages, int]],
    ) -> str | None:
        """Writes down how the call went and returns the trace's id; None when nobody records it.

        Args:
            code: How it ended.
            bundle_id: The bundle that answered.
            worked: What the engine's stages did, and when they had, in nanoseconds since 1970.
        """
        span = self._span
        if not span.is_recording():
            return None
        span.set_attribute("rpc.grpc.status_code", code.value[0])
        if bundle_id is not None:
            span.set_attribute("shortlist.bundle_id", bundle_id)
        if code in _FAULTS:
            span.set_status(Status(StatusCode.ERROR))
        parent = trace.set_span_in_context(span)
        for stages, done in worked:
            _stage_spans(self._tracer, parent, stages, done)
        return trace.format_trace_id(span.get_span_context().trace_id)


class CallTracer:
    """Makes the spans of calls."""

    def __init__(self, provider: TracerProvider | Exporter | None = None):
        """Prepares to trace.

        Args:
            provider: Where spans go; None for the process's own provider.
        """
        provider = provider or trace.get_tracer_provider()
        self._tracer = provider.get_tracer(_NAME)

    @contextmanager
    def span(self, method: str, metadata: Mapping[str, Any]) -> Iterator[CallSpan]:
        """Begins the span of a call, below the caller's own where `traceparent` names it."""
        carrier = {key: value for key, value in metadata.items() if isinstance(value, str)}
        service, _, name = method.rpartition("/")
        with self._tracer.start_as_current_span(
            method,
            context=_PROPAGATOR.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
            record_exception=False,  # its text may quote the query
            set_status_on_exception=False,
        ) as span:
            yield CallSpan(self._tracer, span)


def _stage_spans(tracer: Tracer, parent: Any, stages: Stages, done: int) -> None:
    """Makes a span per stage.

    The engine reports how long each stage took, not when: the stages are laid end to end, the last
    one ending when the engine was done.
    """
    end = done
    for stage in reversed(stages):
        begin = end - int(stage.seconds * 1e9)
        attributes: dict[str, str | int] = {
            "shortlist.candidates": stage.candidates,
            "shortlist.cached": stage.cached,
        }
        if stage.plan:
            attributes["shortlist.plan"] = stage.plan
        span = tracer.start_span(
            f"stage {stage.name}", context=parent, attributes=attributes, start_time=begin
        )
        span.end(end)
        end = begin


def exporting(endpoint: str | None) -> Exporter | None:
    """Returns what sends spans to an OTLP collector; None without one.

    Args:
        endpoint: Where it listens for gRPC, such as "http://localhost:4317"; https:// for TLS.

    Raises:
        InputError: It is no such URL, or the packages that send are not installed.
    """
    if endpoint is None:
        return None
    check_endpoint(endpoint)
    try:
        # Optional packages, which nobody without a collector has to install.
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
    """Raises InputError unless it is a URL that spans can be sent to."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            "--trace-endpoint: must be a URL with http:// or https:// and a host, "
            "such as http://localhost:4317"
        )
