"""The address that a request comes from, behind proxies."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

Networks = Sequence[IPv4Network | IPv6Network]
LOOPBACK: Final[tuple[IPv4Network | IPv6Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1"))


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of a setting: ``10.0.0.0/8, ::1``."""
    return tuple(ip_network(network.strip()) for network in text.split(",") if network.strip())


def client_address(peer: str, forwarded_for: Iterable[str], proxies: Networks) -> str:
    """The nearest hop that is not one of our proxies. ``X-Forwarded-For`` counts only if a proxy sent it."""
    if not proxies or not is_one_of(peer, tuple(proxies)):
        return peer
    hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
    address = peer
    while hops and is_one_of(address, tuple(proxies)):
        address = hops.pop()
    return address if _is_address(address) else peer


@lru_cache(maxsize=4096)
def is_one_of(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether an address lies in one of the networks."""
    if not _is_address(address):
        return False
    parsed = ip_address(address)
    return any(parsed.version == network.version and parsed in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
