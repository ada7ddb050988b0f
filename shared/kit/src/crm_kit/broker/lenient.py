"""Lets messages with invalid AMQP properties arrive without them, and replaces invalid characters of routing keys.

The broker forwards whatever a sender wrote. The library closes the connection if it cannot decode a message, and the broker
then delivers the message again. Anybody who may send such a message could therefore stop a queue.
"""

import struct

import structlog
from pamqp import decode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

log = structlog.get_logger(__name__)

_read_header = ContentHeader.unmarshal


def install() -> None:
    """Change the library for every connection of this process."""
    ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign]  # there is no public hook
    decode.METHODS["shortstr"] = _short_text


def _unmarshal(self: ContentHeader, data: bytes) -> None:
    try:
        _read_header(self, data)
    except Exception as error:  # noqa: BLE001  # decoders raise many kinds of errors, also for recursion and dates
        log.warning("bus.unreadable_properties", error=type(error).__name__)
        self.class_id, self.weight, self.body_size = struct.unpack(">HHQ", data[:12])
        self.properties = Basic.Properties()


def _short_text(value: bytes) -> tuple[int, str]:
    length = value[0]
    return length + 1, value[1 : length + 1].decode(errors="replace")
