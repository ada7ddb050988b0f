"""One service behind the gateway: its connections, its guards, and calls to it."""

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import structlog
from aiohttp import ClientError, ClientResponse, ClientTimeout
from yarl import URL

from crm_gateway.proxy.body import Upload
from crm_gateway.proxy.breaker import Breaker, Bulkhead, Unavailable
from crm_gateway.proxy.transfers import Transfers
from crm_gateway.settings import GatewaySettings
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.http.web_figures import status_class
from crm_kit.signals.metrics import counter, histogram, observed

CONNECT_SECONDS: Final = 2.0
"""Long enough for one lost SYN, which is sent again after a second."""

MARGIN_SECONDS: Final = 0.05
"""A service is told to be ready this much earlier, so that its own 504 arrives before ours is due."""

SILENCE: Final = 0.5
"""The part of a hop without an answer that counts as a failure: a composed view waits for less than a hop."""

HEALTH_SECONDS: Final = 1.0
"""How long an upstream may take to say that it is there: it asks nobody, and so does not wait for slow work."""

KEPT_ALIVE_SECONDS: Final = 4.0
"""Less than a service goes on after it was told to end (``CRM_DRAIN_SECONDS``, 5), and than it keeps an idle connection: so
none is closed at the moment it is used again."""

LONGEST_ANSWER: Final = 8 * 1024 * 1024
"""Of the answers that the gateway reads itself; what passes through may be of any size."""

SECONDS = histogram(
    "http.client.request.duration",
    "Calls of the gateway, from the call to the head of the answer.",
    "upstream",
    "http.response.status_class",
)
FAILURES = counter("crm.gateway.upstream_failures", "Calls without an answer.", "upstream", "reason")
UNDER_WAY = observed("crm.gateway.upstream_calls", "Calls under way.", "upstream")
SLOTS = observed("crm.gateway.upstream_slots", "Calls that may be under way.", "upstream")
OPEN = observed("crm.gateway.breaker_open", "1 while an upstream is given up.", "upstream")

# The answer travels as it is: not decompressed, no headers of the client's own invention.
_SKIPPED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

log = structlog.get_logger(__name__)


class DeadlineExceeded(DomainError):
    """504: the upstream was too slow, or there was no time left to ask it."""

    def __init__(self, upstream: str) -> None:
        super().__init__("deadline-exceeded", f"The service '{upstream}' did not answer in time.")


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What a service said, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Upstream:
    """Calls to one service. Use inside the loop that made it, and ``close`` it."""

    def __init__(self, name: str, url: str, settings: GatewaySettings) -> None:
        self.name, self.url = name, url
        self._patience = settings.hop_seconds
        self.calls = Bulkhead(name, settings.upstream_slots)
        self.transfers = Transfers(name, settings)
        self.breaker = Breaker(name)
        self._asking: asyncio.Task[None] | None = None
        self._session = aiohttp.ClientSession(
            # The bulkhead bounds the connections.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE_SECONDS),
            timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
            auto_decompress=False,
        )
        # The client would by itself send a DELETE again that may have taken effect; what is sent twice is decided below.
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
        """Send a request and return the answer once its headers are here; the caller reads or closes it.

        ``target`` is the raw path with its query. A ``repeatable`` request is sent once more when the connection broke
        before the first byte of an answer. Raises 502 or 503, 504 after ``seconds``, and whatever ended an upload early.
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
            # A caller in a hurry proves nothing; half a hop of silence does.
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
            # A caller who went away, or sent too much, tells nothing about the upstream.
            if trying and not settled:
                self.breaker.abandoned()
        SECONDS.labels(self.name, status_class(answer.status)).observe(clock.monotonic() - began)
        self.breaker.succeeded()
        return answer

    async def fetch(
        self, target: str, headers: list[tuple[str, str]], seconds: float | None = None, caller: Hashable = None
    ) -> UpstreamAnswer:
        """GET, read whole, within ``seconds`` and the time of one hop; 502, 503 or 504 when that cannot be had."""
        patience = self._patience if seconds is None else min(seconds, self._patience)
        until = asyncio.get_running_loop().time() + patience
        told = max(1, int((patience - MARGIN_SECONDS) * 1000))
        try:
            with self.calls.slot(caller):
                sent = [*headers, ("crm-deadline-ms", str(told))]
                async with await self.open("GET", target, sent, seconds=patience, repeatable=True) as answer:
                    async with asyncio.timeout_at(until):
                        body = await _read(answer)
        except ClientError as error:
            raise self._refusal(error) from error
        except TimeoutError as error:
            raise DeadlineExceeded(self.name) from error
        if body is None:
            raise DomainError("upstream-failed", f"The answer of the {self.name} service is too large.")
        return UpstreamAnswer(answer.status, answer.headers, body)

    def _gone(self) -> None:
        """Count a failure that is certain."""
        was_open = self.breaker.open
        self.breaker.failed()
        if self.breaker.open and not was_open:
            log.warning("upstream given up", upstream=self.name)

    def _failed(self) -> None:
        """Count a failure; the one that would give the upstream up only after it was asked whether it is there at all.

        One caller can ask for what takes long, again and again, and so make one call after another fail: then the upstream
        answers others, and this.
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
        # Somebody may have got an answer meanwhile; then it is one failure among answers.
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
                return Unavailable(f"The service '{self.name}' cannot be reached; try again.")
            case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
                return DomainError("upstream-failed", f"The service '{self.name}' gave no valid answer.")
        return Unavailable(
            f"The connection to the service '{self.name}' broke before it answered, so the request may or may not have"
            " taken effect; send it again with the same Idempotency-Key, or read the record first."
        )


async def _read(answer: ClientResponse) -> bytes | None:
    """The whole body, or None when it is longer than what we want to hold."""
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
    """Every configured service; connections are made when they are needed."""
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
