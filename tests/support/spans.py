"""Collects the spans of this process while a test runs, with the real SDK."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@contextmanager
def recorded_spans() -> Iterator[Callable[[], Sequence[ReadableSpan]]]:
    """Yield what returns the spans that ended, the first first; then nothing is recorded again.

    The API takes a provider once a process, and for good; a test puts back what was there.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = trace._TRACER_PROVIDER  # the API offers no way back
    trace._TRACER_PROVIDER = provider
    try:
        yield exporter.get_finished_spans
    finally:
        trace._TRACER_PROVIDER = before
        provider.shutdown()
