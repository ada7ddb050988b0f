"""Where a request really comes from."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

Networks = Sequence[IPv4Network | IPv6Network]


def client_address(peer: str, forwarded_for: Iterable[str], proxies: Networks) -> str:
    """The nearest hop that is not one of our proxies; only a proxy is believed whom it speaks for."""
    if not proxies or not _is_one_of(peer, tuple(proxies)):
        return peer
    hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
    address = peer
    while hops and _is_one_of(address, tuple(proxies)):
        address = hops.pop()
    return address if _is_address(address) else peer


@lru_cache(maxsize=4096)
def _is_one_of(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
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
