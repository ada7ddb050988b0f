"""Derives the credentials of each service from a secret that only the operator has.

A repeated `up` or `apply` therefore changes nothing, and no service can derive the credentials of another.
"""

import hashlib
import hmac


def derived(operator_secret: str, purpose: str, service: str) -> str:
    """A secret for one purpose of one service; hexadecimal, because URLs contain it."""
    return hmac.new(operator_secret.encode(), f"{purpose}:{service}".encode(), hashlib.sha256).hexdigest()
