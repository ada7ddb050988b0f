"""A message whose properties or routing key are no AMQP arrives without them, rather than ending the connection.

The broker hands on whatever a sender wrote. The library gives up the connection over what it cannot decode, and the broker
delivers the message again: whoever may send one could keep a queue standing still.
"""

import struct

import structlog
from pamqp import decode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

log = structlog.get_logger(__name__)

_read_header = ContentHeader.unmarshal


def install() -> None:
    """For every connection of this process."""
    ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign]  # there is no other way in
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
