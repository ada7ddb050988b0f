"""A service behind the gateway: its connections, its guards, and calls to it."""

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import structlog
from aiohttp import ClientError, ClientResponse, ClientTimeout
from yarl import URL

from crm_contracts.sentences import said
from crm_gateway.proxy.body import Upload
from crm_gateway.proxy.breaker import Breaker, Bulkhead, Unavailable
from crm_gateway.proxy.transfers import Transfers
from crm_gateway.settings import GatewaySettings
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.http.web_figures import status_class
from crm_kit.signals.metrics import counter, histogram, observed

CONNECT_SECONDS: Final = 2.0
"""Enough for one lost SYN, which is sent again after a second."""

MARGIN_SECONDS: Final = 0.05
"""How much earlier the service must be ready, so that its own 504 arrives before the gateway's."""

SILENCE: Final = 0.5
"""The part of a hop after which a missing answer counts as a failure, because composed views wait for less than a hop."""

HEALTH_SECONDS: Final = 1.0
"""Time limit of a health check. The check uses no database, so slow work does not delay it."""

KEPT_ALIVE_SECONDS: Final = 4.0
"""Less than the time for which a service continues after the signal to end (``CRM_DRAIN_SECONDS``, 5), and than its
keep-alive time. No connection is therefore closed at the moment it is used again."""

LONGEST_ANSWER: Final = 8 * 1024 * 1024
"""Limit of answers that the gateway reads itself. Answers that pass through have no limit."""

SECONDS = histogram(
    "http.client.request.duration",
    "Duration of the gateway's calls, from the request to the head of the answer.",
    "upstream",
    "http.response.status_class",
)
FAILURES = counter("crm.gateway.upstream_failures", "Calls that got no answer.", "upstream", "reason")
UNDER_WAY = observed("crm.gateway.upstream_calls", "Calls in progress.", "upstream")
SLOTS = observed("crm.gateway.upstream_slots", "The most calls that may be in progress.", "upstream")
OPEN = observed("crm.gateway.breaker_open", "1 while the circuit breaker of an upstream is open.", "upstream")

# The answer passes unchanged: it is not decompressed, and the client adds no headers of its own.
_SKIPPED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

log = structlog.get_logger(__name__)


class DeadlineExceeded(DomainError):
    """504: the upstream was too slow, or no time was left to call it."""

    def __init__(self, upstream: str) -> None:
        super().__init__("deadline-exceeded", said("The service '{service}' did not answer in time.", service=upstream))


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """A service's answer with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Upstream:
    """Calls to one service. Use it in the event loop that made it, and ``close`` it."""

    def __init__(self, name: str, url: str, settings: GatewaySettings) -> None:
        self.name, self.url = name, url
        self._patience = settings.hop_seconds
        self.calls = Bulkhead(name, settings.upstream_slots)
        self.transfers = Transfers(name, settings)
        self.breaker = Breaker(name)
        self._asking: asyncio.Task[None] | None = None
        self._session = aiohttp.ClientSession(
            # The bulkhead limits the connections.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE_SECONDS),
            timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
            auto_decompress=False,
        )
        # The client would repeat a DELETE that may have taken effect. ``open`` decides what is sent again.
        self._session._retry_connection = False

    async def close(self) -> None:
        """Close all connections."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._session.close()

    async def open(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes | Upload | None = None,
        *,
        seconds: float | None = None,
        repeatable: bool = False,
    ) -> ClientResponse:
        """Send a request and return the answer when its headers have arrived. The caller reads or closes it.

        ``target`` is the raw path with its query. A ``repeatable`` request is sent again once if the connection broke
        before the first byte of an answer. Raises 502 or 503, 504 after ``seconds``, and the failure that ended an
        upload early.
        """
        url = URL(self.url + target, encoded=True)
        try:
            async with asyncio.timeout(seconds):
                if repeatable:
                    try:
                        return await self._try(method, url, headers, body)
                    except ClientError:
                        pass
                return await self._try(method, url, headers, body)
        except ClientError as error:
            if isinstance(body, Upload) and body.failure is not None:
                raise body.failure from error
            raise self._refusal(error) from error
        except TimeoutError as error:
            FAILURES.labels(self.name, "timeout").inc()
            # A caller's short deadline proves nothing. Half a hop without an answer counts as a failure.
            if seconds is not None and seconds >= self._patience * SILENCE:
                self._failed()
            raise DeadlineExceeded(self.name) from error

    async def _try(
        self, method: str, url: URL, headers: list[tuple[str, str]], body: bytes | Upload | None
    ) -> ClientResponse:
        trying = self.breaker.admit()
        began = clock.monotonic()
        settled = False
        try:
            answer = await self._session.request(method, url, headers=headers, data=body, allow_redirects=False)
            settled = True
        except ClientError as error:
            if not (isinstance(body, Upload) and body.failure is not None):
                settled = True
                FAILURES.labels(self.name, "connection").inc()
                if isinstance(error, aiohttp.ClientConnectorError):
                    self._gone()
                else:
                    self._failed()
            raise
        finally:
            # A caller that went away or sent too much says nothing about the upstream.
            if trying and not settled:
                self.breaker.abandoned()
        SECONDS.labels(self.name, status_class(answer.status)).observe(clock.monotonic() - began)
        self.breaker.succeeded()
        return answer

    async def fetch(
        self, target: str, headers: list[tuple[str, str]], seconds: float | None = None, caller: Hashable = None
    ) -> UpstreamAnswer:
        """GET with the whole body, within ``seconds`` and the time of one hop. Otherwise 502, 503 or 504."""
        patience = self._patience if seconds is None else min(seconds, self._patience)
        return await self._whole("GET", target, headers, None, patience, caller)

    async def send(self, target: str, headers: list[tuple[str, str]], body: bytes, seconds: float) -> UpstreamAnswer:
        """POST for the gateway itself, in the same way. It is never sent again: it may have taken effect."""
        return await self._whole("POST", target, headers, body, seconds, None)

    async def _whole(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        patience: float,
        caller: Hashable,
    ) -> UpstreamAnswer:
        until = asyncio.get_running_loop().time() + patience
        told = max(1, int((patience - MARGIN_SECONDS) * 1000))
        try:
            with self.calls.slot(caller):
                sent = [*headers, ("crm-deadline-ms", str(told))]
                opened = await self.open(method, target, sent, body, seconds=patience, repeatable=method == "GET")
                async with opened as answer:
                    async with asyncio.timeout_at(until):
                        whole = await _read(answer)
        except ClientError as error:
            raise self._refusal(error) from error
        except TimeoutError as error:
            raise DeadlineExceeded(self.name) from error
        if whole is None:
            raise DomainError(
                "upstream-failed", said("The answer of the {service} service is too large.", service=self.name)
            )
        return UpstreamAnswer(answer.status, answer.headers, whole)

    def _gone(self) -> None:
        """Count a certain failure."""
        was_open = self.breaker.open
        self.breaker.failed()
        if self.breaker.open and not was_open:
            log.warning("upstream given up", upstream=self.name)

    def _failed(self) -> None:
        """Count a failure. Before the one that would open the breaker, check the upstream's health.

        One caller can cause call after call to fail by requests that take long. The upstream then still answers others,
        and the health check.
        """
        if not self.breaker.on_the_brink:
            self.breaker.failed()
        elif self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name=f"is {self.name} there")

    async def _ask(self) -> None:
        if await self._is_there():
            self.breaker.succeeded()
            return
        FAILURES.labels(self.name, "health").inc()
        # If another call succeeded meanwhile, this counts as a single failure.
        self._gone()

    async def _is_there(self) -> bool:
        url = URL(f"{self.url}/healthz", encoded=True)
        try:
            async with asyncio.timeout(HEALTH_SECONDS), self._session.get(url, allow_redirects=False) as answer:
                return answer.status == 200
        except (ClientError, TimeoutError):
            return False

    def _refusal(self, error: ClientError) -> DomainError:
        match error:
            case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
                return Unavailable(said("The service '{service}' cannot be reached; try again.", service=self.name))
            case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
                return DomainError(
                    "upstream-failed", said("The service '{service}' gave no valid answer.", service=self.name)
                )
        return Unavailable(
            said(
                "The connection to the service '{service}' broke before it answered, so the request may or may not "
                "have taken effect; send it again with the same Idempotency-Key, or read the record first.",
                service=self.name,
            )
        )


async def _read(answer: ClientResponse) -> bytes | None:
    """Return the whole body, or None if it exceeds the limit."""
    pieces, size = [], 0
    async for piece in answer.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > LONGEST_ANSWER:
            return None
    return b"".join(pieces)


Upstreams = Mapping[str, Upstream]


@asynccontextmanager
async def open_upstreams(settings: GatewaySettings) -> AsyncIterator[Upstreams]:
    """Make the upstreams of all configured services. Connections are opened on first use."""
    upstreams = {name: Upstream(name, url, settings) for name, url in settings.upstream_urls.items()}
    slots = settings.upstream_slots + settings.upload_slots + settings.transfer_slots
    try:
        with (
            UNDER_WAY.reading(
                lambda: [((name,), one.calls.taken + one.transfers.taken) for name, one in upstreams.items()]
            ),
            SLOTS.reading(lambda: [((name,), slots) for name in upstreams]),
            OPEN.reading(lambda: [((name,), int(one.breaker.open)) for name, one in upstreams.items()]),
        ):
            yield upstreams
    finally:
        for upstream in upstreams.values():
            await upstream.close()
