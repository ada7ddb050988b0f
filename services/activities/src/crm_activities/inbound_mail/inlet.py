"""Speaks SMTP (RFC 5321) for mail servers that route mail here. It answers 250 when the bytes of a mail are committed."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, AnyStr, Final

import structlog

from crm_activities.inbound_mail.settings import settings_of
from crm_activities.inbound_mail.storing import Arrival, announce, store
from crm_activities.mail.reading.addresses import normal_address
from crm_kit import clock
from crm_kit.process.runtime import Runtime
from crm_kit.signals.metrics import counter

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

log = structlog.get_logger(__name__)

MOST_CONNECTIONS: Final = 20
"""Connections at a time. Each may hold one mail in memory."""
MOST_RECIPIENTS: Final = 100
MOST_HOPS: Final = 100
"""Received fields of a mail. One that has more goes round in a circle (RFC 5321 6.3)."""
MORE_BYTES: Final = 64 * 1024
"""Bytes above the largest mail after which a connection ends, whatever they are."""
RETRY_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 120.0

REFUSED = counter("crm.mail.refused", "Mails that the SMTP inlet refused, or asked to send again.", "reason")


class Inlet:
    """The server, until it is stopped. Without a port it only waits for that."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._settings = runtime, settings_of(runtime)
        self._stopping = asyncio.Event()
        self._open: set[SMTP] = set()
        self.port = 0

    def stop(self) -> None:
        """Return from ``run`` when the mails that are being stored are stored."""
        self._stopping.set()

    async def run(self) -> None:
        """Listen until stopped. While another worker of this machine has the port, wait for it."""
        if not self._settings.inlet_port:
            await self._stopping.wait()
            return
        while not self._stopping.is_set():
            try:
                await self.serve(self._settings.inlet_host, self._settings.inlet_port)
            except OSError as error:
                log.warning("inlet.waiting", port=self._settings.inlet_port, error=error.strerror)
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_SECONDS):
                        await self._stopping.wait()

    async def serve(self, host: str, port: int, listening: asyncio.Event | None = None) -> None:
        """Listen on an address until stopped. Raises OSError if the port is taken. Port 0 is any free one."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._protocol, host, port)
        try:
            self.port = server.sockets[0].getsockname()[1]
            log.info("inlet.listening", host=host, port=self.port)
            if listening is not None:
                listening.set()
            await self._stopping.wait()
        finally:
            server.close()
            for protocol in self._open:
                if protocol.transport is not None:
                    protocol.transport.close()

    def _protocol(self) -> "asyncio.Protocol":
        from aiosmtpd.smtp import SMTP  # most installations have no inlet

        inlet, most = self, self._settings.max_bytes

        class Protocol(SMTP):
            """Counts its connections, and the bytes since its last answer, so that nobody fills the memory."""

            # Some programs write a whole HTML body in one line. RFC 5321 4.5.3.1 asks to take more than the limit where possible.
            line_length_limit = most
            unanswered = 0

            def data_received(self, data: bytes) -> None:
                self.unanswered += len(data)
                if self.unanswered <= most + MORE_BYTES:
                    super().data_received(data)
                elif isinstance(self.transport, asyncio.Transport) and not self.transport.is_closing():
                    REFUSED.labels("size").inc()
                    self.transport.write(b"552 5.3.4 The mail is too large\r\n")
                    self.transport.close()

            async def push(self, status: AnyStr) -> None:
                self.unanswered = 0
                await super().push(status)

            def connection_made(self, transport: Any) -> None:
                if len(inlet._open) >= MOST_CONNECTIONS:
                    REFUSED.labels("busy").inc()
                    transport.write(b"421 4.7.0 Too many connections. Try again later.\r\n")
                    transport.close()
                    return
                inlet._open.add(self)
                super().connection_made(transport)

            def connection_lost(self, error: Exception | None) -> None:
                if self in inlet._open:
                    inlet._open.discard(self)
                    super().connection_lost(error)

        return Protocol(
            _Handler(self._runtime),
            data_size_limit=self._settings.max_bytes,
            enable_SMTPUTF8=True,
            hostname="liaison",
            ident="Liaison",
            timeout=IDLE_SECONDS,
            loop=asyncio.get_running_loop(),
        )


class _Handler:
    """What aiosmtpd asks at each step of a mail."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._settings = runtime, settings_of(runtime)

    async def handle_RCPT(  # noqa: N802  # the name that aiosmtpd calls
        self, server: "SMTP", session: "Session", envelope: "Envelope", address: str, options: list[str]
    ) -> str:
        known = normal_address(address)
        if known is None or not self._settings.takes(known):
            REFUSED.labels("recipient").inc()
            return "550 5.1.1 This address takes no mail here"
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(known)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: "SMTP", session: "Session", envelope: "Envelope") -> str:  # noqa: N802  # as above
        content = envelope.original_content or b""
        if content[:65536].lower().count(b"\nreceived:") >= MOST_HOPS:
            REFUSED.labels("loop").inc()
            return "554 5.4.6 The mail goes round in a circle"
        arrival = Arrival(envelope.rcpt_tos, traced(content, envelope.mail_from or "", envelope.rcpt_tos), clock.now())
        try:
            async with self._runtime.db.begin() as conn:
                stored = await store(conn, self._runtime, [arrival])
        except Exception as error:  # noqa: BLE001  # the sender keeps what is not stored, whatever the reason
            REFUSED.labels("database").inc()
            log.warning("inlet.not_stored", error=type(error).__name__)
            return "451 4.3.0 The mail cannot be stored now. Send it again later"
        announce(self._runtime, stored, "smtp")
        return "250 2.0.0 OK, stored"


def traced(content: bytes, sender: str, recipients: Iterable[str]) -> bytes:
    """Return the mail with its envelope in front, as the last server on its way adds it (RFC 5321 4.4)."""
    lines = [f"Return-Path: <{sender}>", *(f"X-Original-To: {one}" for one in recipients)]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace") + content
