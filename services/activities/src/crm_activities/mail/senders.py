"""The addresses from which mails are sent, and their mail servers: the setting CRM_MAIL_SENDERS, or the file that
CRM_MAIL_SENDERS_FILE names, because it contains passwords."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from crm_contracts.sentences import said
from crm_contracts.types import Email, ShortText
from crm_kit.configuration.secret_files import BadSecret, secret
from crm_kit.errors import InvalidValue
from crm_kit.process.runtime import Runtime

SETTING: Final = "CRM_MAIL_SENDERS"
NO_DOMAIN: Final = "mail@liaison.invalid"
"""Stands in for the address of a sender in Message-IDs while no sender is configured (RFC 2606)."""
PLACE: Final = "{id}"

Tls = Literal["implicit", "starttls", "none"]


class Server(BaseModel):
    """A mail server that takes mails (RFC 6409)."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int = Field(ge=1, le=65535)
    tls: Tls
    user: str | None = None
    password: SecretStr | None = None
    ca_file: str | None = None
    """File with the certificates to trust instead of those of the system."""


class Sender(BaseModel):
    """An address from which mails are sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Email
    name: ShortText | None = None
    server: Server
    bounces: str | None = None
    """Address for reports about undelivered mails, in which `{id}` stands for the id of the mail (VERP)."""

    @field_validator("server", mode="before")
    @classmethod
    def _read_url(cls, value: object) -> object:
        return server_of(value) if isinstance(value, str) else value

    @field_validator("bounces")
    @classmethod
    def _names_the_mail(cls, value: str | None) -> str | None:
        if value is not None and (value.count(PLACE) != 1 or value.count("@") != 1):
            raise ValueError("bounces is an address with {id} in it, such as bounces+{id}@example.org")
        return value

    def envelope(self, email_id: UUID) -> str:
        """Return the address to which a mail server reports that it cannot deliver a mail."""
        return self.bounces.replace(PLACE, email_id.hex) if self.bounces else self.address


class Senders(BaseModel):
    """All senders; the first is the default."""

    model_config = ConfigDict(frozen=True)

    senders: tuple[Sender, ...] = ()

    def find(self, address: str | None) -> Sender | None:
        """Return the sender with this address, or the default one for None; None if there is no such sender."""
        if address is None:
            return self.senders[0] if self.senders else None
        wanted = address.casefold()
        return next((one for one in self.senders if one.address.casefold() == wanted), None)

    def require(self, address: str | None, pointer: str = "/sender") -> None:
        """422 ``unknown-sender`` for an address that is not configured. Without any sender, mails wait for one."""
        if self.senders and self.find(address) is None:
            known = ", ".join(one.address for one in self.senders)
            raise InvalidValue(
                pointer, "unknown-sender", said("Send one of the addresses of the settings: {known}.", known=known)
            )

    def mail_of(self, address: str) -> UUID | None:
        """Return the id of the mail that an address of reports names; None for any other address."""
        wanted = address.strip().casefold()
        for one in self.senders:
            if one.bounces is None:
                continue
            before, _, after = one.bounces.casefold().partition(PLACE)
            if wanted.startswith(before) and wanted.endswith(after):
                try:
                    return UUID(hex=wanted[len(before) : len(wanted) - len(after)])
                except ValueError:
                    continue
        return None


class BadSenders(ValueError):
    """The setting cannot be read. The text never contains a password."""


def server_of(url: str) -> Server:
    """Read the URL of a mail server: `smtps://user:password@host:465` (implicit TLS) or `smtp://user:password@host:587`.

    `smtp` needs STARTTLS unless the URL ends with `?tls=none`. `?ca=<file>` names the certificates to trust. Raises ValueError.
    """
    parts = urlsplit(url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("server is a URL such as smtp://user:password@mail.example.org:587")
    if unknown := asked.keys() - {"tls", "ca"}:
        raise ValueError(f"server has unknown parameters: {', '.join(sorted(unknown))}")
    tls = "implicit" if parts.scheme == "smtps" else asked.get("tls", "starttls")
    if tls not in ("implicit", "starttls", "none") or (parts.scheme == "smtps" and "tls" in asked):
        raise ValueError("tls is starttls or none, and only for smtp://")
    if parts.username and tls == "none":
        raise ValueError("a password is never sent without TLS: leave out ?tls=none, or user and password")
    return Server(
        host=parts.hostname,
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        tls=tls,
        user=unquote(parts.username) if parts.username else None,
        password=SecretStr(unquote(parts.password)) if parts.password else None,
        ca_file=asked.get("ca"),
    )


def read_senders(environ: Mapping[str, str] = os.environ) -> Senders:
    """Read the setting. Raises BadSenders, whose text names what is wrong and never a value."""
    try:
        text = secret(SETTING, environ)
    except BadSecret as error:
        raise BadSenders(str(error)) from None
    if not text.strip():
        return Senders()
    try:
        found = TypeAdapter(tuple[Sender, ...]).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BadSenders(f"{SETTING}: {place}: {first['msg']}") from None
    return Senders(senders=found)


def check_senders() -> None:
    """End the process with a message if the setting is wrong."""
    try:
        read_senders()
    except BadSenders as error:
        raise SystemExit(str(error)) from None


@cache
def _of_the_process() -> Senders:
    return read_senders()


def senders_of(runtime: Runtime) -> Senders:
    """Return the senders of this process."""
    found: Senders | None = runtime.extras.get("mail_senders")
    return _of_the_process() if found is None else found
