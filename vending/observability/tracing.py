"""Traces of OpenTelemetry: where the time of a sale went, and never what was sold to whom.

Six places open a span, by hand: an HTTP request, a batch of the lane, a commit, a question to the
security module, a message of the outbox, a try at a meter. Without the extra `otel` and the
setting `otlp_endpoint` a span costs a microsecond and goes nowhere.

An attribute is one of a short list of names whose values cannot hold a meter, a person or a
token; an error shows its class, since its text may quote one. The framework's own spans are off,
because they carry the path and the query of each request.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from vending.errors import ErrorKind, VendingError

ATTRIBUTES: Final = frozenset(
    {
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "messaging.operation.name",
        "vending.batch_size",
        "vending.command_kind",
        "vending.outcome",
    }
)
"""Every name a span of ours may carry."""

Attribute = str | int
_TRACER: Final = "vending"


class TracingUnavailableError(VendingError):
    """Traces are wanted and the packages that send them are not installed."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "tracing_unavailable"
    remedy: ClassVar[str] = (
        "Install the extra: `pip install 'prepaid-vending[otel]'`, or unset VENDING_OTLP_ENDPOINT."
    )

    def __init__(self, package: str) -> None:
        super().__init__(f"{package} is not installed", package=package)


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Attribute] | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
    links: Sequence[Link] = (),
) -> Iterator[trace.Span]:
    """Yield a span around the body; an error of the body marks it by its class alone."""
    given = dict(attributes or {})
    assert given.keys() <= ATTRIBUTES, "a span carries none but the listed attributes"
    tracer = trace.get_tracer(_TRACER)
    with tracer.start_as_current_span(
        name,
        context=parent,
        kind=kind,
        attributes=given,
        links=list(links),
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        try:
            yield opened
        except BaseException as error:
            opened.set_attribute("error.type", name_of(error))
            opened.set_status(Status(StatusCode.ERROR))
            raise


def name_of(error: BaseException) -> str:
    """Return the code of a refusal, the class of anything else."""
    return error.code if isinstance(error, VendingError) else type(error).__name__


def parent_of(headers: Mapping[str, str]) -> Context:
    """Return the trace that a caller's `traceparent` header names; an empty one without it."""
    return TraceContextTextMapPropagator().extract(headers)


def link_here() -> Link | None:
    """Return a link to the span of this thread or task; None: there is none that is recorded."""
    context = trace.get_current_span().get_span_context()
    return Link(context) if context.is_valid and context.trace_flags.sampled else None


def configure_traces(endpoint: str, *, service: str) -> Any:  # noqa: ANN401 # a type of the extra
    """Send the spans of this process to an OTLP collector over HTTP; return their provider.

    Shut the provider down at the end: it sends what is left.

    Raises:
        TracingUnavailableError: The extra `otel` is not installed.
    """
    sdk = _import("opentelemetry.sdk.trace")
    export = _import("opentelemetry.sdk.trace.export")
    resources = _import("opentelemetry.sdk.resources")
    otlp = _import("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    # Not `Resource.create`: it would add the command line and the user of the process.
    provider = sdk.TracerProvider(
        resource=resources.Resource({"service.name": service}), shutdown_on_exit=False
    )
    url = f"{endpoint.removesuffix('/')}/v1/traces"
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=url)))
    trace.set_tracer_provider(provider)
    return provider


def _import(name: str) -> Any:  # noqa: ANN401 # a module of the extra
    try:
        return import_module(name)
    except ImportError as error:
        raise TracingUnavailableError(name.rpartition(".")[0]) from error
