"""The cookie of a session, and the requests that may use it.

The name begins with ``__Host-`` wherever the connection is encrypted, so that no other host can set it (RFC 6265bis §4.1.3.2).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import cookie_parser

from crm_gateway.settings import GatewaySettings
from crm_kit.errors import DomainError

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
GUARD: Final = b"crm-csrf"
"""A header of our own. A page of another origin cannot send it without a preflight, and no preflight allows it."""
LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts at which browsers need no encryption."""
LONGEST_SECRET: Final = 64

Headers = Mapping[bytes, bytes]


class CrossSite(DomainError):
    """403: another site may have sent the request in the name of the person who is logged in."""

    def __init__(self, detail: str) -> None:
        super().__init__("cross-site-request", detail)


class NotEncrypted(DomainError):
    """403: the cookie would pass a network in clear text."""

    def __init__(self) -> None:
        super().__init__(
            "encryption-required", "Log in over HTTPS: without it anybody on the way could take over your session."
        )


class Site:
    """The address at which the browser sees this gateway: it decides the cookie's name and what is another site."""

    def __init__(self, settings: GatewaySettings, scheme: str, headers: Headers, *, by_proxy: bool) -> None:
        """``by_proxy``: a trusted proxy sent the request, so its word about the scheme counts."""
        self._headers = headers
        self._public = settings.public_url
        told = headers.get(b"x-forwarded-proto", b"").decode("latin-1") if by_proxy else ""
        forwarded = told.rpartition(",")[2].strip().lower()
        self.is_secure = "https" in (scheme, forwarded) or self._public.startswith("https://")

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return "__Host-crm" if self.is_secure else "crm"

    @property
    def secret(self) -> str | None:
        """The secret that the browser sent, if any."""
        sent = self._headers.get(b"cookie")
        if sent is None:
            return None
        secret = cookie_parser(sent.decode("latin-1")).get(self.cookie)
        return secret if secret and len(secret) <= LONGEST_SECRET else None

    def require_encryption(self) -> None:
        """Raise 403 where the secret would pass a network in clear text."""
        if self.is_secure:
            return
        # A proxy may name this machine as the host, but the browser says where its page comes from.
        seen = [f"//{self._host}", *([origin.decode("latin-1")] if (origin := self._headers.get(b"origin")) else [])]
        try:
            hosts = {urlsplit(url).hostname for url in seen}
        except ValueError:
            hosts = set()
        if not hosts or not hosts <= LOCAL:
            raise NotEncrypted

    def refuse_others(self, method: str) -> None:
        """Raise 403 if a page of another site may have sent the request.

        A page's own requests have ``Sec-Fetch-Site: same-origin``, or in older browsers the ``Origin`` of this site. A request
        that changes something needs ``Crm-Csrf`` besides.
        """
        site = self._headers.get(b"sec-fetch-site")
        is_safe = method in SAFE
        if site is not None:
            is_own = site == b"same-origin" or (is_safe and site == b"none")
        else:
            is_own = is_safe or self._headers.get(b"origin", b"").decode("latin-1") in self._origins
        if not is_own:
            raise CrossSite("Use the session from pages of this site only. Other programs send an access token.")
        if not is_safe and GUARD not in self._headers:
            raise CrossSite("Send the header Crm-Csrf: 1 with requests that change something.")

    def keep(self, secret: str, seconds: int) -> bytes:
        """The header that gives the browser the secret, which scripts cannot read."""
        return self._set(f"{secret}; Max-Age={seconds}")

    def forget(self) -> bytes:
        """The header that takes it from the browser."""
        return self._set("; Max-Age=0")

    def _set(self, value: str) -> bytes:
        secure = "; Secure" if self.is_secure else ""
        return f"{self.cookie}={value}; Path=/; HttpOnly; SameSite=Strict{secure}".encode("latin-1")

    @property
    def _host(self) -> str:
        return self._headers.get(b"host", b"").decode("latin-1")

    @property
    def _origins(self) -> set[str]:
        return {f"{'https' if self.is_secure else 'http'}://{self._host}", self._public} - {""}
