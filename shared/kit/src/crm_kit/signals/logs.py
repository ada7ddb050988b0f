"""JSON lines that carry the ids of the work they belong to, and no personal value, whoever writes them.

Our own messages are fixed and name ids, counts and types. Libraries log through ``logging``, with texts that may quote
what they were given, so of theirs the template is told with numbers filled in and everything else as its type.
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
"""Tells the ids that every log line of the work in hand carries; asked only when a line is written."""


@contextmanager
def working(ids: Ids) -> Iterator[None]:
    """Every line written meanwhile, also by what is called, carries these ids."""
    token = WORK.set(ids)
    try:
        yield
    finally:
        WORK.reset(token)


def set_up(service: str, role: str, level: str) -> None:
    """Write lines of at least this level to standard error, ours and those of libraries."""
    # What both loggers ask of a stream is write and flush.
    stream = cast(TextIO, _Steady(sys.stderr))
    handler = logging.StreamHandler(stream)
    named, stamped = _Named(service, role), structlog.processors.TimeStamper(fmt="iso", utc=True)
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
    """A stream whose writer is never harmed: on a full disk a process goes on working, and counts what it cannot tell."""

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


class _Named:
    def __init__(self, service: str, role: str) -> None:
        self._service, self._role = service, role

    def __call__(self, logger: Any, method: str, event: Line) -> Line:
        event["service"], event["role"] = self._service, self._role
        return event


def _without_values(logger: Any, method: str, event: Line) -> Line:
    """An exception's text may quote data, so a log tells its type and where it came from."""
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
    """What a library logs, as one of our lines."""

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
        # Its messages come with the arguments of the callback that failed already in them.
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
    """A request's path with its words and ids, and ``*`` for what no path of ours holds: it may be anything."""
    return "/".join(part if not part or _WORD.fullmatch(part) else "*" for part in path.split("/"))
