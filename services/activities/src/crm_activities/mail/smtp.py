"""Speaks to a mail server: one attempt to deliver one message, with what is known at each step."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from crm_activities.mail.composing import Message, wire_address
from crm_activities.mail.outcomes import Attempt
from crm_activities.mail.senders import Server
from crm_contracts.activities.email import DeliveryPhase

if TYPE_CHECKING:
    from aiosmtplib import SMTP

CONNECT_SECONDS: Final = 60.0
COMMAND_SECONDS: Final = 120.0
"""RFC 5321 §4.5.3.2 has five minutes. A server that needs more than two is tried again later."""
DATA_SECONDS: Final = 600.0
"""RFC 5321 §4.5.3.2.6."""

BeforeData = Callable[[], Awaitable[bool]]
"""Called before the content is sent. The content is sent only if it returns True."""


class Session:
    """A connection to a mail server, which is kept for the next mail."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._client: SMTP | None = None

    async def deliver(
        self, envelope: str, recipients: Sequence[str], message: Message, before_data: BeforeData
    ) -> Attempt | None:
        """Try to deliver a message once. None if ``before_data`` says no: then nothing was sent.

        Raises nothing that has to do with the server.
        """
        for reused in (True, False):
            if reused and (self._client is None or not self._client.is_connected):
                continue
            attempt = None if reused else await self._open()
            if attempt is None:
                try:
                    attempt = await self._submit(envelope, recipients, message, before_data)
                except _Withdrawn:
                    await self.close()
                    return None
            # A server may have closed a connection that was kept. Nothing was sent by it then.
            if not (reused and attempt.phase is DeliveryPhase.ENVELOPE and attempt.code is None):
                return attempt
            await self.close()
        raise AssertionError("the second turn returns")

    async def close(self) -> None:
        """Take leave of the server."""
        from aiosmtplib import SMTPException

        client, self._client = self._client, None
        if client is not None and client.is_connected:
            try:
                await client.quit(timeout=5)
            except (SMTPException, OSError):
                client.close()

    async def _open(self) -> Attempt | None:
        """Connect and log in. Returns what went wrong; None if nothing did."""
        from aiosmtplib import SMTP, SMTPException, SMTPResponseException

        phase, server = DeliveryPhase.CONNECT, self.server
        try:
            context = None
            if server.tls != "none":
                context = ssl.create_default_context(cafile=server.ca_file)
            client = SMTP(
                hostname=server.host,
                port=server.port,
                use_tls=server.tls == "implicit",
                start_tls=server.tls == "starttls",
                tls_context=context,
                timeout=COMMAND_SECONDS,
            )
            await client.connect(timeout=CONNECT_SECONDS)
            self._client = client
            await client.ehlo()
            if server.user is not None and server.password is not None:
                phase = DeliveryPhase.LOGIN
                await client.login(server.user, server.password.get_secret_value())
        except SMTPResponseException as error:
            await self.close()
            # A greeting or a log-in that is refused is the fault of the settings or of the server, and not of the mail.
            return Attempt(phase, _told(error), error.code)
        except (SMTPException, OSError, ValueError) as error:
            await self.close()
            return Attempt(phase, _described(error))
        return None

    async def _submit(
        self, envelope: str, recipients: Sequence[str], message: Message, before_data: BeforeData
    ) -> Attempt:
        from aiosmtplib import SMTPException, SMTPResponseException

        client = self._client
        assert client is not None  # it was opened
        phase = DeliveryPhase.ENVELOPE
        accepted: list[str] = []
        refused: list[tuple[str, str]] = []
        deferred: list[str] = []
        answer: tuple[str, int] | None = None
        try:
            utf8 = message.utf8 or not all(wire_address(one).isascii() for one in (*recipients, envelope or "a@b"))
            if utf8 and not client.supports_extension("smtputf8"):
                said = "The mail server does not support addresses outside ASCII (SMTPUTF8, RFC 6531)."
                return Attempt(phase, said, permanent=True)
            options = [*(["SMTPUTF8", "BODY=8BITMIME"] if utf8 else [])]
            if client.supports_extension("size"):
                options.append(f"SIZE={len(message.content)}")
            encoding = "utf-8" if utf8 else "ascii"
            sender = wire_address(envelope) if envelope else ""
            await client.mail(sender, options=options, encoding=encoding)
            for one in recipients:
                try:
                    await client.rcpt(wire_address(one), encoding=encoding)
                    accepted.append(one)
                except SMTPResponseException as error:
                    answer = _told(error), error.code
                    if error.code >= 500:
                        refused.append((one, _told(error)))
                    else:
                        deferred.append(one)
            if not accepted:
                await client.rset()
                said, code = answer or ("", 0)
                return Attempt(phase, said, code, refused=tuple(refused), deferred=tuple(deferred))
            if not await before_data():
                raise _Withdrawn
            phase = DeliveryPhase.DATA
            response = await client.data(message.content, timeout=DATA_SECONDS)
        except SMTPResponseException as error:
            # The whole message was refused, or put off.
            for_good = error.code >= 500
            await self._reset()
            return Attempt(
                phase, _told(error), error.code, refused=tuple(refused), deferred=tuple(deferred), permanent=for_good
            )
        except (SMTPException, OSError) as error:
            client.close()
            silent = phase is DeliveryPhase.DATA
            return Attempt(phase, _described(error), refused=tuple(refused), deferred=tuple(deferred), silent=silent)
        told = answer[0] if answer else f"{response.code} {response.message}"
        return Attempt(phase, told, response.code, tuple(accepted), tuple(refused), tuple(deferred))

    async def _reset(self) -> None:
        from aiosmtplib import SMTPException

        try:
            if self._client is not None:
                await self._client.rset()
        except (SMTPException, OSError):
            await self.close()


class _Withdrawn(Exception):
    """The content is not to be sent."""


def _told(error: object) -> str:
    return f"{getattr(error, 'code', '')} {getattr(error, 'message', '')}".strip()[:500]


def _described(error: BaseException) -> str:
    text = str(error).strip()
    return (f"{type(error).__name__}: {text}" if text else type(error).__name__)[:500]
