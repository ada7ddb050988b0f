"""Parses a DATABASE_URL as libpq does, and makes all connections to PostgreSQL.

asyncpg handles TLS, password files and the like, as libpq does. This module tries the hosts one after the other, because each
has `connect_timeout` seconds, and asyncpg would apply them to all hosts together.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

import asyncpg
from asyncpg.exceptions import CannotConnectNowError, TargetServerAttributeNotMatched

from crm_kit.network.certificates import names_another
from crm_kit.network.urls import BadUrl

SCHEMES: Final = ("postgresql", "postgres")
CONNECT_SECONDS: Final = 5.0
"""For each host, if the URL has no `connect_timeout`."""

_OF_ASYNCPG: Final = frozenset(
    {
        *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)
_OURS: Final = frozenset(
    {
        *("host", "port", "dbname", "user", "password", "passfile", "service", "krbsrvname", "gsslib"),
        *("target_session_attrs", "connect_timeout", "application_name", "fallback_application_name", "options"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    }
)
# Values that request the default behaviour. Other values of these parameters are refused, because they would be ignored.
_DONE_ANYWAY: Final[Mapping[str, frozenset[str]]] = {
    "channel_binding": frozenset({"disable", "prefer"}),
    "client_encoding": frozenset({"auto", "utf8", "utf-8", "unicode"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "load_balance_hosts": frozenset({"disable"}),
    "sslcertmode": frozenset({"allow"}),
    "sslcompression": frozenset({"0"}),
    "sslsni": frozenset({"1"}),
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
_WHOLE: Final = frozenset(
    {"connect_timeout", *(name for name in _OURS if name.startswith("keepalives")), "tcp_user_timeout"}
)
_FILES: Final = ("sslcert", "sslkey", "sslcrl")
SYSTEM: Final = "system"
"""The value of `sslrootcert` for the certificates that this machine trusts."""

NEXT_HOST: Final = (OSError, TimeoutError, CannotConnectNowError, TargetServerAttributeNotMatched)
"""Errors after which the next host is tried, as in libpq. A host that refuses the log-in ends the search."""


@dataclass(frozen=True, slots=True)
class Target:
    """Hosts and parameters of a URL."""

    hosts: tuple[tuple[str | None, int | None], ...]
    parameters: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, url: str, name: str = "DATABASE_URL") -> "Target":
        """Parse a URL. Raises BadUrl, whose text begins with ``name``, the source of the URL."""
        try:
            return cls._of(url)
        except BadUrl as error:
            raise BadUrl(f"{name}: {error}") from None

    @classmethod
    def _of(cls, url: str) -> "Target":
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES or "://" not in url:
            raise BadUrl("it must look like postgresql://user:password@host:5432/database?sslmode=verify-full")
        if "#" in rest:
            raise BadUrl("'#' must be written as %23")
        location, _, query = rest.partition("?")
        authority, _, path = location.partition("/")
        account, _, hosts = authority.rpartition("@")
        user, _, password = account.partition(":")
        told = {"user": user, "password": password, "dbname": path}
        found = {name: _unquoted(name, value) for name, value in told.items() if value}
        found |= _parameters(query)
        _check(found)
        return cls(tuple(_hosts(hosts, found)), {name: value for name, value in found.items() if value})

    @property
    def user(self) -> str | None:
        """The user, if the URL has one."""
        return self.parameters.get("user")

    def __str__(self) -> str:
        """Hosts and database for messages, without user and password."""
        places = ",".join(f"{host or 'the default host'}{f':{port}' if port else ''}" for host, port in self.hosts)
        return f"{places}/{self.parameters.get('dbname', '')}"

    async def connect(self, application_name: str, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect to the first available host that matches `target_session_attrs`; ``options`` are asyncpg's.
        Raises OSError and asyncpg.PostgresError, with a note that names the server and the reason, for ``told``."""
        try:
            return await self._first_of_hosts(application_name, options)
        except (OSError, asyncpg.PostgresError) as error:
            remedy = _remedy(error, self.parameters.get("sslmode", ""))
            error.add_note(f"PostgreSQL at {self}: {why(error)}{remedy and f': {remedy} {_variable()}'}")
            raise

    async def _first_of_hosts(
        self, application_name: str, options: Mapping[str, Any]
    ) -> "asyncpg.Connection[asyncpg.Record]":
        wanted = self.parameters.get("target_session_attrs")
        rounds = ("standby", "any") if wanted == "prefer-standby" else (wanted,)
        attempts = [(place, role) for role in rounds for place in self.hosts]
        for attempt, (place, role) in enumerate(attempts, 1):
            try:
                return await self._connect(place, role, application_name, options)
            except NEXT_HOST:
                if attempt == len(attempts):
                    raise
        raise AssertionError("a URL names at least one host")

    async def _connect(
        self,
        place: tuple[str | None, int | None],
        role: str | None,
        application_name: str,
        options: Mapping[str, Any],
    ) -> "asyncpg.Connection[asyncpg.Record]":
        told = self.parameters
        name = told.get("application_name") or application_name
        start_up = {"application_name": name, **({"options": told["options"]} if "options" in told else {})}
        host, port = place
        # asyncpg takes certificates only from a URL.
        tls = {key: value for key, value in told.items() if key in _OF_ASYNCPG}
        context = _trusting_the_machine(tls) if tls.get("sslrootcert") == SYSTEM else None
        dsn = None if context or not tls else f"postgresql://?{urlencode(tls, quote_via=quote)}"
        named = {
            key: told[key] for key in ("user", "password", "passfile", "service", "krbsrvname", "gsslib") if key in told
        }
        connection = await asyncpg.connect(
            dsn,
            **({} if host is None else {"host": host}),
            **({} if port is None else {"port": port}),
            **({"database": told["dbname"]} if "dbname" in told else {}),
            **({} if context is None else {"ssl": context}),
            **({} if role is None else {"target_session_attrs": role}),
            **named,
            server_settings=start_up,
            timeout=self._seconds(),
            **options,
        )
        self._keep_alive(connection)
        return connection

    def _seconds(self) -> float | None:
        told = self.parameters.get("connect_timeout")
        if told is None:
            return CONNECT_SECONDS
        # As in libpq: zero and less means no limit, and one second counts as two.
        return None if int(told) <= 0 else max(2.0, float(told))

    def _keep_alive(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        told = self.parameters
        if told.get("keepalives") == "0" or all(host and host.startswith("/") for host, _ in self.hosts):
            return
        transport: asyncio.BaseTransport = connection._transport  # asyncpg has no public access to it
        end = transport.get_extra_info("socket")
        if end is None or end.family not in (socket.AF_INET, socket.AF_INET6):
            return
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, option in _TCP_OPTIONS.items():
            if (value := int(told.get(name, "0"))) > 0 and option is not None:
                end.setsockopt(socket.IPPROTO_TCP, option, value)


_TCP_OPTIONS: Final[Mapping[str, int | None]] = {
    "keepalives_idle": getattr(socket, "TCP_KEEPIDLE", None),
    "keepalives_interval": getattr(socket, "TCP_KEEPINTVL", None),
    "keepalives_count": getattr(socket, "TCP_KEEPCNT", None),
    "tcp_user_timeout": getattr(socket, "TCP_USER_TIMEOUT", None),
}


def _unquoted(name: str, value: str) -> str:
    for position, part in enumerate(value.split("%")):
        if position and (len(part) < 2 or any(digit not in "0123456789abcdefABCDEF" for digit in part[:2])):
            raise BadUrl(f"{name}: '%' must be written as %25, and other special characters percent-encoded")
    return unquote(value)


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise BadUrl(f"the parameter {name!r} has no value")
        name = "dbname" if name == "database" else name
        if name not in _OF_ASYNCPG and name not in _OURS and name not in _DONE_ANYWAY:
            raise BadUrl(_unknown(name))
        found[name] = _unquoted(name, value)
    return found


def _unknown(name: str) -> str:
    if name == "hostaddr":
        return "hostaddr is not supported: write the address as the host"
    known = ", ".join(sorted(_OF_ASYNCPG | _OURS | set(_DONE_ANYWAY)))
    return f"{name!r} is not a known parameter. Known are: {known}. Settings of the server go into options=-c%20name%3Dvalue"


def _check(found: Mapping[str, str]) -> None:
    for name, value in found.items():
        if value and name in _CHOICES and value not in _CHOICES[name]:
            raise BadUrl(f"{name} must be one of: {', '.join(_CHOICES[name])}")
        if value and name in _WHOLE and not value.lstrip("-").isdecimal():
            raise BadUrl(f"{name} must be a whole number")
        if value and name in _DONE_ANYWAY and value.lower() not in _DONE_ANYWAY[name]:
            raise BadUrl(f"{name}={value} is not supported: {' or '.join(sorted(_DONE_ANYWAY[name]))} is")
        if value and (name in _FILES or (name == "sslrootcert" and value != SYSTEM)) and not os.access(value, os.R_OK):
            raise BadUrl(f"{name}: {value} does not exist or may not be read")
    if found.get("sslmode") in ("verify-ca", "verify-full") and not _has_root(found):
        raise BadUrl(f"sslmode={found['sslmode']} needs sslrootcert: a file of certificates, or {SYSTEM}")
    if found.get("sslrootcert") == SYSTEM and found.get("sslmode", "verify-full") != "verify-full":
        raise BadUrl(
            "sslrootcert=system needs sslmode=verify-full: anybody can have a certificate that this machine trusts"
        )


def _has_root(found: Mapping[str, str]) -> bool:
    """Whether a root certificate is configured, also in the places where libpq looks for it."""
    told = found.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    return bool(told) or (Path.home() / ".postgresql" / "root.crt").exists()


def _hosts(authority: str, found: dict[str, str]) -> Iterator[tuple[str | None, int | None]]:
    hosts, ports = [], []
    for place in authority.split(",") if authority else ():
        if place.startswith("["):
            host, _, rest = place[1:].partition("]")
            port = rest.removeprefix(":")
        else:
            host, _, port = place.partition(":")
        hosts.append(_unquoted("host", host))
        ports.append(_unquoted("port", port))
    if told := found.pop("host", ""):
        hosts, ports = told.split(","), [""] * len(told.split(","))
    if told := found.pop("port", ""):
        ports = told.split(",")
        if len(ports) not in (1, max(1, len(hosts))):
            raise BadUrl(f"there are {len(ports)} ports for {len(hosts)} hosts")
    hosts = hosts or [""]
    ports = ports * len(hosts) if len(ports) == 1 else ports or [""] * len(hosts)
    for host, port in zip(hosts, ports, strict=True):
        if port and (not port.isdecimal() or not 0 < int(port) < 65536):
            raise BadUrl(f"{port!r} is no port")
        yield host or None, int(port) if port else None


def _trusting_the_machine(tls: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if cert := tls.get("sslcert"):
        context.load_cert_chain(cert, tls.get("sslkey"), tls.get("sslpassword"))
    return context


def told(error: BaseException, *, text: bool = False) -> str:
    """Which server could not be had, why, and what to do, in words for an operator; of any other error no more than its kind,
    or with ``text`` its own text, which may hold values."""
    seen: BaseException | None = error
    while seen is not None:
        if notes := getattr(seen, "__notes__", None):
            return str(notes[0])
        seen = seen.__cause__ or getattr(seen, "orig", None)
    return (text and str(error)) or type(error).__name__


def _variable() -> str:
    return "DATABASE_URL or DATABASE_DIRECT_URL" if _has_direct() else "DATABASE_URL"


def _has_direct() -> bool:
    return any(os.environ.get(name) for name in ("DATABASE_DIRECT_URL", "DATABASE_DIRECT_URL_FILE"))


# By the class of the error and, where PostgreSQL has one class for several reasons, by a part of its text.
_REMEDIES: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (asyncpg.InvalidAuthorizationSpecificationError, "client certificate", "name sslcert and sslkey in"),
    (asyncpg.InvalidAuthorizationSpecificationError, "no encryption", "have pg_hba.conf allow it, or ask for TLS in"),
    (asyncpg.InvalidAuthorizationSpecificationError, "pg_hba.conf", "have pg_hba.conf allow it, or correct"),
    (asyncpg.InvalidAuthorizationSpecificationError, "", "correct the user and its password in"),
    (asyncpg.InvalidCatalogNameError, "", "create it, or correct the database in"),
    (ConnectionError, "rejected SSL upgrade", "the server has no TLS; switch it on, or correct sslmode in"),
    (socket.gaierror, "", "correct the host in"),
    (TimeoutError, "", "start the server, or correct host and port (or connect_timeout) in"),
    (ConnectionRefusedError, "", "start the server, or correct host and port in"),
    (FileNotFoundError, "", "start the server, or correct the socket's directory in"),
)


def _remedy(error: BaseException, sslmode: str) -> str:
    """What to do about a failed connection, as the beginning of a sentence that ends with the variable; empty if unknown."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if names_another(error):
            return "write a host that the certificate names, or sslmode=verify-ca, in"
        return "name the certificate of its authority as sslrootcert in"
    if sslmode == "disable" and "no encryption" in str(error):
        return "write sslmode=require instead of disable in"
    return next((remedy for kind, text, remedy in _REMEDIES if isinstance(error, kind) and text in str(error)), "")


def why(error: BaseException) -> str:
    """The reason of a failed connection, for an operator."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"the server's certificate is not trusted: {seen.verify_message.rstrip('.')}"
        seen = seen.__cause__ or getattr(seen, "orig", None)
    cause = getattr(error, "orig", None) or error
    cause = getattr(cause, "__cause__", None) or cause
    if isinstance(cause, socket.gaierror):
        return f"the host is not known ({cause.strerror})"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ConnectionRefusedError):
        return "the connection was refused: nothing listens there"
    return str(cause) or type(cause).__name__
