"""A message with invalid AMQP properties or an invalid routing key arrives without them, instead of ending the connection.

The broker forwards whatever a sender wrote. The library closes the connection if it cannot decode a message, and the broker
delivers the message again. Anybody who may send such a message could stop a queue.
"""

import struct

import structlog
from pamqp import decode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

log = structlog.get_logger(__name__)

_read_header = ContentHeader.unmarshal


def install() -> None:
    """Apply to every connection of this process."""
    ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign]  # there is no public hook
    decode.METHODS["shortstr"] = _short_text


def _unmarshal(self: ContentHeader, data: bytes) -> None:
    try:
        _read_header(self, data)
    except Exception as error:  # noqa: BLE001  # decoders raise all sorts, of recursion and of dates, too
        log.warning("bus.unreadable_properties", error=type(error).__name__)
        self.class_id, self.weight, self.body_size = struct.unpack(">HHQ", data[:12])
        self.properties = Basic.Properties()


def _short_text(value: bytes) -> tuple[int, str]:
    length = value[0]
    return length + 1, value[1 : length + 1].decode(errors="replace")
