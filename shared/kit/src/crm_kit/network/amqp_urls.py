"""AMQP_URL: one or more brokers, tried in turn, with RabbitMQ's query parameters.

Several brokers are written as complete URLs separated by commas, or as one URL with several hosts. All must have the same user
and virtual host. No check here connects to a broker.
"""

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from yarl import URL

from crm_kit.network.urls import BadUrl, brokers, parts_of

CONNECT_SECONDS: Final = 5.0
HEARTBEAT_SECONDS: Final = 10
"""A peer that is silent for about three heartbeats counts as dead; a broker that pauses for 20 s does not."""

PORTS: Final[Mapping[str, int]] = {"amqp": 5672, "amqps": 5671}
# From https://www.rabbitmq.com/docs/uri-query-parameters; _FORMER has aiormq's names, which earlier releases accepted.
PARAMETERS: Final = (
    *("cacertfile", "certfile", "keyfile", "verify", "server_name_indication"),
    *("auth_mechanism", "heartbeat", "connection_timeout"),
)
_FORMER: Final[Mapping[str, str]] = {"cafile": "cacertfile", "auth": "auth_mechanism"}
_FILES: Final = ("cacertfile", "certfile", "keyfile")


@dataclass(frozen=True, slots=True)
class Broker:
    """One node of the broker."""

    scheme: str
    user: str
    password: str = field(repr=False)
    host: str
    port: int
    vhost: str
    parameters: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        """Host and port for messages, without user and password."""
        return f"{self.host}:{self.port}"

    @property
    def seconds(self) -> float:
        """Seconds that connecting may take."""
        told = self.parameters.get("connection_timeout")
        return float(told) / 1000 if told else CONNECT_SECONDS

    def url(self, name: str) -> URL:
        """The URL in aiormq's form; the broker shows ``name`` for the connection."""
        told = self.parameters
        query = {"heartbeat": told.get("heartbeat", str(HEARTBEAT_SECONDS)), "name": name}
        if mechanism := told.get("auth_mechanism"):
            query["auth"] = mechanism.lower()
        base = URL.build(scheme=self.scheme, user=self.user, password=self.password, host=self.host, port=self.port)
        return base.with_path(f"/{quote(self.vhost, safe='')}", encoded=True).with_query(query)

    @property
    def server_name(self) -> str | None:
        """The name that the certificate must have, if it differs from the host."""
        return self.parameters.get("server_name_indication")

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context of the connection, read again each time, because certificates are renewed."""
        return tls(self.parameters) if self.scheme == "amqps" else None


@dataclass(frozen=True, slots=True)
class Brokers:
    """All brokers of a URL, which belong to one cluster."""

    all: tuple[Broker, ...]

    @classmethod
    def of(cls, url: str, name: str = "AMQP_URL") -> "Brokers":
        """Parse a URL or a list. Raises BadUrl, whose text begins with ``name``, the source of the URL."""
        try:
            found = tuple(broker for one in brokers(url) for broker in _read(one))
        except BadUrl as error:
            raise BadUrl(f"{name}: {error}") from None
        first = found[0]
        if any((broker.user, broker.vhost) != (first.user, first.vhost) for broker in found):
            raise BadUrl(f"{name}: all brokers must have the same user and virtual host")
        return cls(found)

    @property
    def user(self) -> str:
        """The user of the connection."""
        return self.all[0].user

    @property
    def vhost(self) -> str:
        """The virtual host."""
        return self.all[0].vhost


def tls(parameters: Mapping[str, str]) -> ssl.SSLContext:
    """A context for `cacertfile`, `certfile`, `keyfile` and `verify`; raises BadUrl."""
    try:
        context = ssl.create_default_context(cafile=parameters.get("cacertfile"))
        if cert := parameters.get("certfile"):
            context.load_cert_chain(cert, parameters.get("keyfile"), parameters.get("password"))
    except (OSError, ssl.SSLError) as error:
        raise BadUrl(f"cacertfile, certfile or keyfile cannot be used: {error.strerror or error}") from None
    if parameters.get("verify") == "verify_none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def parameters_of(query: str) -> dict[str, str]:
    """The parameters of a query, by RabbitMQ's names; raises BadUrl."""
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        name, value = _FORMER.get(name, name), unquote(value)
        if name == "no_verify_ssl":
            name, value = "verify", "verify_peer" if value == "0" else "verify_none"
        if name not in PARAMETERS:
            raise BadUrl(f"{name!r} is not a known parameter. Known are: {', '.join(PARAMETERS)}")
        found[name] = value
    for name in _FILES:
        if name in found and not os.access(found[name], os.R_OK):
            raise BadUrl(f"{name}: {found[name]} does not exist or may not be read")
    for name, choices in (("verify", ("verify_peer", "verify_none")), ("auth_mechanism", ("plain", "external"))):
        if found.get(name, choices[0]).lower() not in choices:
            raise BadUrl(f"{name} must be one of: {', '.join(choices)}")
    for name in ("heartbeat", "connection_timeout"):
        if not found.get(name, "1").isdecimal():
            raise BadUrl(f"{name} must be a whole number of {'seconds' if name == 'heartbeat' else 'milliseconds'}")
    return found


def _read(url: str) -> Iterator[Broker]:
    scheme, account, hosts, path, query = parts_of(url)
    if scheme not in PORTS:
        raise BadUrl("it must look like amqp://user:password@host:5672/vhost, or amqps://… for TLS")
    user, _, password = account.partition(":")
    parameters = parameters_of(query)
    if scheme == "amqp" and (names := sorted({*_FILES, "verify", "server_name_indication"} & set(parameters))):
        raise BadUrl(f"{', '.join(names)}: without TLS this does nothing; write amqps://")
    for place in hosts.split(","):
        host, _, port = place.rpartition(":") if re.search(r":\d*$", place) else (place, "", "")
        if port and not 0 < int(port) < 65536:
            raise BadUrl(f"{port} is no port")
        yield Broker(
            scheme=scheme,
            user=unquote(user) or "guest",
            password=unquote(password) or "guest",
            host=unquote(host.strip("[]")) or "localhost",
            port=int(port) if port else PORTS[scheme],
            vhost=unquote(path) or "/",
            parameters=parameters,
        )
