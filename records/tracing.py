"""Traces by OpenTelemetry, for service and workers, if `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector.

Without this variable the functions here do nothing, and import nothing of OpenTelemetry. OpenTelemetry's
other variables, such as `OTEL_EXPORTER_OTLP_HEADERS`, hold as its own documentation says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Literal

from records.settings import SettingsError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
Role = Literal["SERVER", "CONSUMER", "CLIENT", "INTERNAL"]
_tracer: Any = None
_provider: Any = None


def configure(part: Literal["service", "worker"]) -> None:
    """Begin to send spans, if the variable is set.

    Raises:
        SettingsError: If the variable is set, and OpenTelemetry is not installed.
    """
    global _tracer, _provider
    if not os.environ.get(ENDPOINT):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            f"{ENDPOINT} is set, and OpenTelemetry is not installed. Run `pip install 'vcpbench[tracing]'`, "
            "or unset the variable."
        ) from None
    about = {"service.name": f"vcpbench-{part}", "service.version": version("vcpbench")}
    # A signal ends the service without the functions that Python calls at exit. So `shut_down` is called.
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer, _provider = provider.get_tracer("vcpbench"), provider


def shut_down() -> None:
    """Send the spans that are left, and trace no more."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


@contextmanager
def span(
    name: str, *, role: Role = "INTERNAL", traceparent: str | None = None, **attributes: Any
) -> Iterator[None]:
    """Trace a block.

    Args:
        name: What the block does, without ids.
        role: OpenTelemetry's kind of span.
        traceparent: The caller's span, as W3C's header of that name. A header that is no such is left out.
        attributes: As for `annotate`.
    """
    if _tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
    with _tracer.start_as_current_span(
        name,
        context=parent,
        kind=SpanKind[role],
        attributes=_written(attributes),
        record_exception=False,  # the text of an exception may hold paths and rows
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except BaseException as error:
            current.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def annotate(name: str | None = None, **attributes: Any) -> None:
    """Add attributes to the current span, and rename it. `evaluation=...` becomes `vcpbench.evaluation`.

    An attribute with `__` is one of OpenTelemetry's own names: `http__route` becomes `http.route`.
    """
    if _tracer is None:
        return
    from opentelemetry.trace import get_current_span

    current = get_current_span()
    current.set_attributes(_written(attributes))
    if name is not None:
        current.update_name(name)


def past(name: str, begun_ns: int, ended_ns: int, **attributes: Any) -> None:
    """Add a span that another process has timed, in nanoseconds since 1970."""
    if _tracer is not None:
        _tracer.start_span(name, start_time=begun_ns, attributes=_written(attributes)).end(ended_ns)


def _written(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        name.replace("__", ".") if "__" in name else f"vcpbench.{name}": value
        if isinstance(value, bool | int | float)
        else str(value)
        for name, value in attributes.items()
        if value is not None
    }
