"""One received event: read, and what can be said of it when it fails."""

from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from crm_contracts.catalogue import Event, event_for
from crm_contracts.envelope import Envelope, EnvelopeError, check_size
from crm_kit.events.consumers import Unprocessable, attach
from crm_kit.events.ordering import Place
from crm_kit.store.outages import unfit

PERMANENT = (Unprocessable, ValidationError, EnvelopeError)
"""Errors after which another attempt is in vain."""


@dataclass(slots=True, eq=False)
class Message:
    """One received event. ``attempts`` is above 0 when it comes from the store and not from the broker."""

    envelope: Envelope
    body: bytes
    attempts: int = 0
    _event: Event | None = field(default=None, repr=False)

    @classmethod
    def read(cls, body: bytes, attempts: int = 0) -> "Message":
        """Parse a body. Raises EnvelopeError."""
        check_size(body)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise EnvelopeError(f"the body is not JSON: {error}") from None
        return cls(Envelope.of(document, body), body, attempts)

    @property
    def place(self) -> Place:
        """Where in the record's story this event stands."""
        return Place(self.envelope.epoch, self.envelope.entityversion)

    def event(self) -> Event:
        """The event as consumers see it, parsed once for all groups. Raises ValidationError."""
        if self._event is None:
            declared = event_for(self.envelope.type)
            if declared is None:
                raise Unprocessable(f"unknown event type {self.envelope.type}")
            self._event = declared.consume(self.envelope.data)
            attach(self._event, self.envelope)
        return self._event


def in_vain(message: Message, error: BaseException | None) -> Exception | None:
    """Why there is no point in another attempt, if there is none: the event breaks its contract, or it cannot be kept.

    A raw projection does not read through the contract, so what it stumbles over is looked at here.
    """
    if isinstance(error, PERMANENT):
        return error
    try:
        message.event()
    except Exception as broken:  # noqa: BLE001  # whatever reading it raises, it cannot be read
        return broken if isinstance(broken, PERMANENT) else Unprocessable(describe(broken))
    return Unprocessable(describe(error)) if error is not None and unfit(error) else None


def describe(error: BaseException | None) -> str:
    """What went wrong, without any value of the event: values may be personal."""
    if isinstance(error, ValidationError):
        places = ", ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['type']}" for e in error.errors()[:5])
        return f"ValidationError: {places}"
    if isinstance(error, EnvelopeError | Unprocessable):
        return f"{type(error).__name__}: {error}"
    frame: Any = error.__traceback__ if error is not None else None
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" if frame is not None else ""
    return f"{type(error).__name__}{place}"
