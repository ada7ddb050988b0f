"""JSON log lines with the ids of their work and without personal values, also for libraries.

Our own messages are fixed and contain ids, counts and types. Libraries log through ``logging``, with texts that may quote
their input. Of their messages, the template is logged with numbers filled in and every other value replaced by its type.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TextIO, cast

import structlog

from crm_kit.signals.metrics import counter

__all__ = ["WORK", "masked", "places_of", "set_up", "working"]

LOST = counter("crm.log.writes_failed", "Writes to the log that failed, as on a full disk.")

Ids = Callable[[], Mapping[str, object]]

WORK: ContextVar[Ids | None] = ContextVar("crm_work", default=None)
"""Returns the ids for the log lines of the current work; called only when a line is written."""


@contextmanager
def working(ids: Ids) -> Iterator[None]:
    """Every line that is written inside the block, also by called code, has these ids."""
    token = WORK.set(ids)
    try:
        yield
    finally:
        WORK.reset(token)


def set_up(service: str, role: str, level: str) -> None:
    """Write our lines and those of libraries to standard error, from this level on."""
    # Both loggers need only write and flush of a stream.
    stream = cast(TextIO, _Steady(sys.stderr))
    handler = logging.StreamHandler(stream)
    named, stamped = _OfProcess(service, role), structlog.processors.TimeStamper(fmt="iso", utc=True)
    handler.setFormatter(_Foreign([_of_this_work, stamped, named, _without_values]))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    structlog.configure(
        processors=[
            _of_this_work,
            structlog.processors.add_log_level,
            stamped,
            named,
            _without_values,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )


class _Steady:
    """A stream that never raises: on a full disk the process continues and counts the lost writes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            LOST.inc()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            LOST.inc()


Line = MutableMapping[str, Any]
Processor = Callable[[Any, str, Line], Line]


def _of_this_work(logger: Any, method: str, event: Line) -> Line:
    ids = WORK.get()
    return event if ids is None else {**ids(), **event}


class _OfProcess:
    def __init__(self, service: str, role: str) -> None:
        self._service, self._role = service, role

    def __call__(self, logger: Any, method: str, event: Line) -> Line:
        event["service"], event["role"] = self._service, self._role
        return event


def _without_values(logger: Any, method: str, event: Line) -> Line:
    """Logs the type and the place of an exception, because its text may quote data."""
    raised = event.pop("exc_info", None)
    if raised:
        error = sys.exc_info()[1] if raised is True else raised[1] if isinstance(raised, tuple) else raised
        if isinstance(error, BaseException):
            event["exception"] = type(error).__name__
            event["stack"] = places_of(error.__traceback__)
    return event


def places_of(trace_back: TracebackType | None) -> list[str]:
    """``file:line function`` of each frame, innermost last."""
    frames = traceback.extract_tb(trace_back)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


class _Foreign(logging.Formatter):
    """Formats a library's log record as one of our lines."""

    def __init__(self, processors: list[Any]) -> None:
        super().__init__()
        self._processors: list[Processor] = processors

    def format(self, record: logging.LogRecord) -> str:
        line: Line = {"event": _template_of(record), "logger": record.name, "level": record.levelname.lower()}
        if record.exc_info:
            line["exc_info"] = record.exc_info
        for process in self._processors:
            line = process(None, record.levelname, line)
        return json.dumps(line, default=str)


def _template_of(record: logging.LogRecord) -> str:
    if not isinstance(record.msg, str):
        return f"<{type(record.msg).__name__}>"
    template = record.msg.partition("\n")[0]
    if record.name == "asyncio":
        # Its messages already contain the arguments of the failed callback.
        return template.partition("(")[0]
    args = record.args
    if not args:
        return template
    try:
        if isinstance(args, Mapping):
            return template % {name: _shown(value) for name, value in args.items()}
        return template % tuple(_shown(value) for value in args)
    except (TypeError, ValueError):
        return template


def _shown(value: object) -> object:
    return value if isinstance(value, int | float | None) else f"<{type(value).__name__}>"


_WORD = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*|[0-9]{1,3}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def masked(path: str) -> str:
    """A request's path with its words and ids, and ``*`` for every other part, because that may be personal data."""
    return "/".join(part if not part or _WORD.fullmatch(part) else "*" for part in path.split("/"))
