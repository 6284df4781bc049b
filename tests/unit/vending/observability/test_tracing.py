import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from tests.support.spans import recorded_spans
from vending.meters.errors import MeterNotFoundError
from vending.observability import tracing
from vending.observability.tracing import (
    TracingUnavailableError,
    configure_traces,
    link_here,
    parent_of,
    span,
)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


def test_span_outside_a_trace_is_recorded_nowhere() -> None:
    with span("commit") as opened:
        assert link_here() is None
        assert not opened.is_recording()


def test_span_carries_its_name_and_attributes() -> None:
    with recorded_spans() as spans, span("sales batch", {"vending.batch_size": 3}):
        pass
    assert [(one.name, dict(one.attributes or {})) for one in spans()] == [
        ("sales batch", {"vending.batch_size": 3})
    ]


def test_attribute_that_is_not_listed_is_refused() -> None:
    with pytest.raises(AssertionError), span("sale", {"meter": "01234567897"}):
        pass


def test_error_marks_its_span_by_code_or_class_alone() -> None:
    with recorded_spans() as spans:
        with pytest.raises(MeterNotFoundError), span("a"):
            raise MeterNotFoundError("01234567897")
        with pytest.raises(ValueError, match="70630503470028726114"), span("b"):
            raise ValueError("70630503470028726114")
    first, second = spans()
    assert (first.attributes or {})["error.type"] == MeterNotFoundError.code
    assert (second.attributes or {})["error.type"] == "ValueError"
    for one in (first, second):
        assert one.events == ()
        assert one.status.description is None


def test_caller_may_name_the_trace() -> None:
    with recorded_spans() as spans, span("GET", parent=parent_of({"traceparent": PARENT})):
        pass
    assert [format(_context(one).trace_id, "032x") for one in spans()] == [TRACE_ID]


@pytest.mark.parametrize("header", ["", "00-00-00-00", "nonsense", PARENT * 9])
def test_malformed_trace_of_a_caller_is_ignored(header: str) -> None:
    with recorded_spans() as spans, span("GET", parent=parent_of({"traceparent": header})):
        pass
    assert [one.parent for one in spans()] == [None]


def test_link_leads_to_the_span_it_was_taken_in() -> None:
    with recorded_spans() as spans:
        with span("request"):
            link = link_here()
        assert link is not None
        with span("sales batch", links=[link]):
            pass
    request, batch = spans()
    assert [one.context for one in batch.links] == [_context(request)]


def test_traces_without_the_extra_are_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tracing, "import_module", fail)
    with pytest.raises(TracingUnavailableError, match=r"opentelemetry\.sdk is not installed"):
        configure_traces("http://127.0.0.1:4318", service="vending")


def _context(one: ReadableSpan) -> SpanContext:
    context = one.get_span_context()
    assert isinstance(context, SpanContext)
    return context
