"""A received event, and the description of its failure."""

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
"""Errors after which another attempt is useless."""


@dataclass(slots=True, eq=False)
class Message:
    """A received event. ``attempts`` is greater than 0 if it comes from the inbox and not from the broker."""

    envelope: Envelope
    body: bytes
    attempts: int = 0
    _event: Event | None = field(default=None, repr=False)

    @classmethod
    def read(cls, body: bytes, attempts: int = 0) -> "Message":
        """Parse a body. Raises EnvelopeError if it is not an event."""
        check_size(body)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise EnvelopeError(f"the body is not JSON: {error}") from None
        return cls(Envelope.of(document, body), body, attempts)

    @property
    def place(self) -> Place:
        """The epoch and version of this event."""
        return Place(self.envelope.epoch, self.envelope.entityversion)

    def event(self) -> Event:
        """Return the event, which is parsed once for all groups. Raises ValidationError, or Unprocessable for an unknown type."""
        if self._event is None:
            declared = event_for(self.envelope.type)
            if declared is None:
                raise Unprocessable(f"unknown event type {self.envelope.type}")
            self._event = declared.consume(self.envelope.data)
            attach(self._event, self.envelope)
        return self._event


def in_vain(message: Message, error: BaseException | None) -> Exception | None:
    """Return the reason why another attempt is useless, or None: the event breaks its contract, or it cannot be stored.

    A raw projection does not validate events, so an event that it fails on is validated here.
    """
    if isinstance(error, PERMANENT):
        return error
    try:
        message.event()
    except Exception as broken:  # noqa: BLE001  # any error means that the event cannot be read
        return broken if isinstance(broken, PERMANENT) else Unprocessable(describe(broken))
    return Unprocessable(describe(error)) if error is not None and unfit(error) else None


def describe(error: BaseException | None) -> str:
    """Describe an error without any value of the event, because values may be personal data."""
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
