"""What each service is given as its own: derived from a secret that the operator's side alone holds.

So a repeated `up` or `apply` changes nothing, and no service can derive what another has.
"""

import hashlib
import hmac


def derived(operator_secret: str, purpose: str, service: str) -> str:
    """A secret for one purpose of one service; hexadecimal, because it stands in URLs."""
    return hmac.new(operator_secret.encode(), f"{purpose}:{service}".encode(), hashlib.sha256).hexdigest()
