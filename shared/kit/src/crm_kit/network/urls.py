"""Splits URLs of servers into parts, and derives one URL from another.

``urllib.parse`` is not used: it supports neither several hosts nor several URLs, and loses the slashes of a URL without a host.
"""

import re
from urllib.parse import quote


class BadUrl(ValueError):
    """A URL that cannot be used. The text names the parameter, never a secret."""


def parts_of(url: str) -> tuple[str, str, str, str, str]:
    """Scheme, account, hosts, path and query, as they are written."""
    scheme, _, rest = url.partition("://")
    location, _, query = rest.partition("?")
    authority, _, path = location.partition("/")
    account, _, hosts = authority.rpartition("@")
    return scheme, account, hosts, path, query


def joined(scheme: str, account: str, hosts: str, path: str, query: str) -> str:
    """The inverse of ``parts_of``."""
    return f"{scheme}://{f'{account}@' if account else ''}{hosts}/{path}{f'?{query}' if query else ''}"


def in_database(url: str, database: str) -> str:
    """A URL of PostgreSQL with another database."""
    scheme, account, hosts, _, query = parts_of(url)
    return joined(scheme, account, hosts, quote(database, safe=""), _without(query, "dbname", "database"))


def as_role(url: str, role: str, password: str) -> str:
    """A URL of PostgreSQL with another role."""
    scheme, _, hosts, path, query = parts_of(url)
    return joined(scheme, _login(role, password), hosts, path, _without(query, "user", "password", "passfile"))


def brokers(url: str) -> list[str]:
    """The URLs of a list of brokers."""
    return [one.strip() for one in re.split(r",(?=\s*amqps?://)", url)]


def in_vhost(url: str, vhost: str) -> str:
    """URLs of brokers with another virtual host."""
    parts = map(parts_of, brokers(url))
    return ",".join(
        joined(scheme, user, hosts, quote(vhost, safe=""), query) for scheme, user, hosts, _, query in parts
    )


def as_user(url: str, user: str, password: str | None) -> str:
    """URLs of brokers with another user, and with its password if that is known."""
    parts = map(parts_of, brokers(url))
    login = _login(user, password)
    return ",".join(joined(scheme, login, hosts, path, query) for scheme, _, hosts, path, query in parts)


def without_parameters(url: str) -> str:
    """URLs of brokers without parameters, for a process with other files and timeouts."""
    return ",".join(one.partition("?")[0] for one in brokers(url))


def _login(user: str, password: str | None) -> str:
    return quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")


def _without(query: str, *names: str) -> str:
    return "&".join(part for part in query.split("&") if part.partition("=")[0] not in names)
