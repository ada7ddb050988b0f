"""The settings of incoming mail: the mailboxes that are polled, and the port that speaks SMTP."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from crm_contracts.types import ShortText
from crm_kit.configuration.environment import EnvironmentSettings, read
from crm_kit.configuration.secret_files import secret
from crm_kit.process.runtime import Runtime

SETTING: Final = "CRM_MAILBOXES"
Tls = Literal["implicit", "starttls", "none"]


class Mailbox(BaseModel):
    """A mailbox that is polled over IMAP (RFC 9051)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ShortText
    """Its address, which e-mails name in `mailboxes`."""
    server: str = Field(repr=False)
    """`imaps://user:password@host:993` or `imap://user:password@host:143`."""
    folder: str = "INBOX"
    owner: ShortText | None = None
    """Address of a user or name of a team that owns mails of new conversations; CRM_MAIL_OWNER unless given."""

    @field_validator("server")
    @classmethod
    def _can_be_used(cls, value: str) -> str:
        server_of(value)
        return value


class ImapServer(BaseModel):
    """Where a mailbox is, and who reads it."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int = Field(ge=1, le=65535)
    tls: Tls
    user: str
    password: SecretStr
    ca_file: str | None = None


def server_of(url: str) -> ImapServer:
    """Read the URL of an IMAP server. `imap` needs STARTTLS unless it ends with `?tls=none`, which only this machine may have.

    `?ca=<file>` names the certificates to trust instead of those of the system. Raises ValueError.
    """
    parts = urlsplit(url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.scheme not in ("imap", "imaps") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("server is a URL such as imaps://user:password@mail.example.org:993")
    if not parts.username or parts.password is None:
        raise ValueError("server needs user and password, with special characters percent-encoded")
    if unknown := asked.keys() - {"tls", "ca"}:
        raise ValueError(f"server has unknown parameters: {', '.join(sorted(unknown))}")
    tls = "implicit" if parts.scheme == "imaps" else asked.get("tls", "starttls")
    if tls not in ("implicit", "starttls", "none") or (parts.scheme == "imaps" and "tls" in asked):
        raise ValueError("tls is starttls or none, and only for imap://")
    if tls == "none" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("a password is never sent to another machine without TLS: leave out ?tls=none")
    return ImapServer(
        host=parts.hostname,
        port=parts.port or (993 if parts.scheme == "imaps" else 143),
        tls=tls,
        user=unquote(parts.username),
        password=SecretStr(unquote(parts.password)),
        ca_file=asked.get("ca"),
    )


class InboundSettings(EnvironmentSettings):
    """Where mails come from, and how large they may be."""

    owner: str = Field(
        "",
        validation_alias="CRM_MAIL_OWNER",
        description="User (by address) or team (by name) that owns mails of new conversations; by default the first user.",
    )
    poll_seconds: float = Field(
        30.0,
        ge=1,
        le=86400,
        validation_alias="CRM_MAIL_POLL_SECONDS",
        description="Seconds between two looks into a mailbox.",
    )
    max_bytes: int = Field(
        25 * 1024**2,
        ge=1024,
        le=256 * 1024**2,
        validation_alias="CRM_MAIL_MAX_BYTES",
        description="Most bytes of an incoming mail. Of a larger one in a mailbox only the head is taken; SMTP refuses it.",
    )
    source_days: int = Field(
        90,
        ge=0,
        le=36500,
        validation_alias="CRM_MAIL_SOURCE_DAYS",
        description="Days for which the bytes of a mail that was read or ignored are kept; 0 keeps them. Deleting the e-mail"
        " deletes them at once.",
    )
    inlet_host: str = Field(
        "127.0.0.1",
        validation_alias="CRM_SMTP_HOST",
        description="Address on which the worker of activities speaks SMTP.",
    )
    inlet_port: int = Field(
        0, ge=0, le=65535, validation_alias="CRM_SMTP_PORT", description="Port on which it speaks SMTP; 0 for none."
    )
    inlet_recipients: str = Field(
        "",
        validation_alias="CRM_SMTP_RECIPIENTS",
        description="Addresses and @domains whose mail it takes, separated by commas. Required with a port.",
    )

    @model_validator(mode="after")
    def _inlet_knows_its_recipients(self) -> Self:
        if self.inlet_port and not self.recipients:
            raise ValueError("CRM_SMTP_RECIPIENTS is empty: name the addresses or @domains whose mail is taken")
        return self

    @property
    def recipients(self) -> frozenset[str]:
        """The addresses, and domains with an @ in front, in lower case."""
        return frozenset(one.strip().casefold() for one in self.inlet_recipients.split(",") if one.strip())

    def takes(self, address: str) -> bool:
        """Whether mail to this address is taken."""
        folded = address.casefold()
        return folded in self.recipients or f"@{folded.rpartition('@')[2]}" in self.recipients


class BadMailboxes(SystemExit):
    """The setting cannot be read. The text never contains a password."""


def read_mailboxes(environ: Mapping[str, str] = os.environ) -> tuple[Mailbox, ...]:
    """Read CRM_MAILBOXES, or the file that CRM_MAILBOXES_FILE names. Raises BadMailboxes, whose text never has a value."""
    text = secret(SETTING, environ)
    if not text.strip():
        return ()
    try:
        found = TypeAdapter(tuple[Mailbox, ...]).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BadMailboxes(f"{SETTING}: {place}: {first['msg'].removeprefix('Value error, ')}") from None
    if len({one.name for one in found}) < len(found):
        raise BadMailboxes(f"{SETTING}: two mailboxes have one name")
    return found


@cache
def own_settings() -> InboundSettings:
    """Read the settings from the environment once. Invalid settings end the process with a message."""
    return read(InboundSettings)


@cache
def own_mailboxes() -> tuple[Mailbox, ...]:
    """Read the mailboxes of this process once."""
    return read_mailboxes()


def check_settings() -> None:
    """Read all settings of incoming mail. Invalid ones end the process with a message."""
    own_settings()
    own_mailboxes()


def settings_of(runtime: Runtime) -> InboundSettings:
    """Return the settings of this process, or those given to its runtime."""
    settings = runtime.extras.get("inbound_mail") or own_settings()
    assert isinstance(settings, InboundSettings)
    return settings


def mailboxes_of(runtime: Runtime) -> tuple[Mailbox, ...]:
    """Return the mailboxes of this process, or those given to its runtime."""
    found: tuple[Mailbox, ...] | None = runtime.extras.get("mailboxes")
    return own_mailboxes() if found is None else found
