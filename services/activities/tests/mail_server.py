"""A real SMTP server (aiosmtpd) on a free port that behaves as a test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class MailServer:
    """Keeps what it took. Its answers are data, so that a test changes them while it runs."""

    port: int = 0
    mail: str = "250 OK"
    recipients: dict[str, str] = field(default_factory=dict)
    """Answers to RCPT by address; 250 for others."""
    data: str = "250 OK"
    drop: str | None = None
    """``rcpt``: the connection ends before the content; ``data``: after it, without an answer."""
    while_in_data: Callable[[], Any] | None = None
    stored: list[Envelope] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    async def handle_EHLO(  # noqa: N802  # the name is that of the library
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.sessions.append(session)
        return responses

    async def handle_MAIL(  # noqa: N802  # the name is that of the library
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mail.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.mail

    async def handle_RCPT(  # noqa: N802  # the name is that of the library
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.drop == "rcpt":
            _drop(server)
        answer = self.recipients.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # the name is that of the library
        if self.while_in_data is not None:
            await self.while_in_data()
        if self.data.startswith("250"):
            self.stored.append(envelope)
        if self.drop == "data":
            _drop(server)
        return self.data

    @property
    def contents(self) -> list[bytes]:
        """The messages that it took."""
        return [one.content for one in self.stored if isinstance(one.content, bytes)]


def _drop(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


def _knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"user", b"p@ss"), handled=False)


@asynccontextmanager
async def mail_server(
    *, utf8: bool = True, tls: ssl.SSLContext | None = None, implicit: bool = False, auth: bool = False
) -> AsyncIterator[MailServer]:
    """Serve on a free port of this machine until the end of the context."""
    kept = MailServer()

    def protocol() -> SMTP:
        return SMTP(
            kept,
            hostname="mail.test",
            enable_SMTPUTF8=utf8,
            tls_context=None if implicit else tls,
            require_starttls=tls is not None and not implicit,
            auth_required=auth,
            auth_require_tls=not implicit,
            authenticator=_knows if auth else None,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        server.close()
        await server.wait_closed()
