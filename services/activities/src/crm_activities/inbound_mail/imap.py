"""Speaks IMAP (RFC 9051) with one mailbox. It blocks, so it runs in a thread."""

import binascii
import imaplib
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from crm_activities.inbound_mail.settings import ImapServer

SECONDS: Final = 60.0
"""How long one answer of the server may take."""
AT_ONCE: Final = 100
"""Mails of one command and of one transaction."""
BYTES_AT_ONCE: Final = 16 * 1024**2
"""Bytes of the mails of one command, unless a single mail has more."""
_NOT_PLAIN: Final = re.compile(r"[^\x20-\x7e]+")
_ABOUT: Final = re.compile(rb"\bUID (\d+)")
_DATE: Final = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_SIZE: Final = re.compile(rb"\bRFC822\.SIZE (\d+)")


class MailboxError(Exception):
    """The mailbox cannot be read now. The text says why and contains no password."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A mail of a mailbox. ``size`` is its whole size, even if only its head was fetched."""

    uid: int
    content: bytes
    size: int
    received_at: datetime | None


class Connection:
    """A connection that has one folder open for reading. Mails keep their flags."""

    def __init__(self, server: ImapServer, folder: str, most_bytes: int) -> None:
        self._most = most_bytes
        self.commands = 0
        try:
            self._client = _connected(server)
        except (OSError, imaplib.IMAP4.error) as error:
            raise MailboxError(f"{server.host}:{server.port} cannot be reached: {_told(error)}") from None
        try:
            self._do("login", server.user, server.password.get_secret_value())
            self._do("select", quoted(folder), True)
            self.uid_validity = self._validity()
        except BaseException:
            self.close()
            raise

    def _validity(self) -> int:
        _, found = self._client.response("UIDVALIDITY")
        try:
            return int(found[0])
        except (TypeError, ValueError, IndexError):
            raise MailboxError("the server gives no UIDVALIDITY") from None

    def after(self, last_uid: int) -> Iterator[list[Fetched]]:
        """The mails with larger UIDs, in their order, in batches of at most 100 mails or 16 MiB."""
        sizes = self._sizes(last_uid)
        batch: list[int] = []
        total = 0
        for uid in sorted(sizes):
            size = sizes[uid] if sizes[uid] <= self._most else 0
            if batch and (len(batch) == AT_ONCE or total + size > BYTES_AT_ONCE):
                yield self._fetch(batch, sizes)
                batch, total = [], 0
            batch.append(uid)
            total += size
        if batch:
            yield self._fetch(batch, sizes)

    def _sizes(self, last_uid: int) -> dict[int, int]:
        """The sizes by UID. A search would need fewer bytes, but the standard library limits its answer to a line of 1 MB."""
        found = {}
        for line in self._do("uid", "FETCH", f"{last_uid + 1}:*", "(UID RFC822.SIZE)"):
            text = line if isinstance(line, bytes) else b" ".join(line) if line else b""
            uid, size = _ABOUT.search(text), _SIZE.search(text)
            # `n:*` always names the last mail, too, even if its UID is below n (RFC 9051 9, seq-range).
            if uid and size and int(uid.group(1)) > last_uid:
                found[int(uid.group(1))] = int(size.group(1))
        return found

    def _fetch(self, uids: list[int], sizes: dict[int, int]) -> list[Fetched]:
        small = [uid for uid in uids if sizes[uid] <= self._most]
        large = [uid for uid in uids if sizes[uid] > self._most]
        found = [*self._contents(small, "BODY.PEEK[]", sizes), *self._contents(large, "BODY.PEEK[HEADER]", sizes)]
        return sorted(found, key=lambda one: one.uid)

    def _contents(self, uids: list[int], what: str, sizes: dict[int, int]) -> Iterator[Fetched]:
        if not uids:
            return
        answer = self._do("uid", "FETCH", _set(uids), f"(UID INTERNALDATE {what})")
        for number, line in enumerate(answer):
            if not isinstance(line, tuple):
                continue
            # What belongs to a mail may stand before its literal or behind it.
            behind = answer[number + 1] if number + 1 < len(answer) and isinstance(answer[number + 1], bytes) else b""
            about = line[0] + b" " + behind
            uid = _ABOUT.search(about)
            if uid and int(uid.group(1)) in sizes:
                yield Fetched(int(uid.group(1)), line[1], sizes[int(uid.group(1))], _internal_date(about))

    def _do(self, name: str, *arguments: Any) -> list[Any]:
        self.commands += 1
        try:
            status, found = getattr(self._client, name)(*arguments)
        except (OSError, imaplib.IMAP4.error) as error:
            raise MailboxError(f"{name} failed: {_told(error)}") from None
        if status != "OK":
            raise MailboxError(f"{name} was refused: {_shown(found)}")
        return list(found or [])

    def close(self) -> None:
        """Log out, or drop the connection if the server does not answer."""
        try:
            self._client.logout()
        except (OSError, imaplib.IMAP4.error):
            self._client.shutdown()


def _connected(server: ImapServer) -> imaplib.IMAP4:
    context = ssl.create_default_context(cafile=server.ca_file)
    if server.tls == "implicit":
        return imaplib.IMAP4_SSL(server.host, server.port, ssl_context=context, timeout=SECONDS)
    client = imaplib.IMAP4(server.host, server.port, timeout=SECONDS)
    if server.tls == "starttls":
        client.starttls(context)
    return client


def quoted(folder: str) -> str:
    """Return the name of a folder in modified UTF-7 (RFC 3501 5.1.3), quoted."""
    coded = _NOT_PLAIN.sub(_in_base64, folder.replace("&", "&-"))
    return '"' + coded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_base64(found: re.Match[str]) -> str:
    coded = binascii.b2a_base64(found.group().encode("utf-16-be"), newline=False).decode()
    return f"&{coded.rstrip('=').replace('/', ',')}-"


def _set(uids: list[int]) -> str:
    """A set of UIDs. Neighbours are a range, because servers limit the length of a command."""
    ranges: list[list[int]] = []
    for uid in uids:
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in ranges)


def _internal_date(about: bytes) -> datetime | None:
    found = _DATE.search(about)
    if found is None:
        return None
    try:
        return datetime.strptime(found.group(1).decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _shown(found: Any) -> str:
    text = b" ".join(one for one in found or [] if isinstance(one, bytes))
    return " ".join(text.decode("utf-8", "replace").split())[:200]
