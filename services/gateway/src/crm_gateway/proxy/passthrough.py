"""Pass a request through the gateway: streamed in both directions, unparsed, within its deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import ClientResponse
from starlette.types import Receive, Scope, Send

from crm_contracts.sentences import said
from crm_gateway.proxy.body import CallerGone, Progress, Upload, declared_length, take_body
from crm_gateway.proxy.headers import for_caller, for_upstream
from crm_gateway.proxy.transfers import Pace
from crm_gateway.proxy.upstream import FAILURES, MARGIN_SECONDS, DeadlineExceeded, Upstream
from crm_gateway.routes import is_transfer
from crm_gateway.settings import GatewaySettings
from crm_kit.errors import DomainError

WATCH_AFTER_SECONDS: Final = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Visit:
    """A request after its admission."""

    headers: dict[bytes, bytes]
    address: str
    caller: Hashable
    """The caller whose share of the upstream's slots the request takes: the principal, or the address without a token."""
    answer_headers: Sequence[tuple[bytes, bytes]]
    """Headers that the gateway adds to the answer."""
    renew: Callable[[], Awaitable[str]] | None = None
    """Gets another access token for the session of a browser."""


async def pass_through(
    upstream: Upstream, settings: GatewaySettings, visit: Visit, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send the request to the service and return its answer. Raises what the caller gets as a problem.

    After an answer has started, a failure closes the connection before the end of the answer.
    """
    watch, reply = Watch(receive), Reply(send, visit.answer_headers)
    try:
        if is_transfer(scope["method"], scope["path"]):
            await _transfer(upstream, settings, visit, scope, watch, reply)
        else:
            await _exchange(upstream, settings, visit, scope, watch, reply)
    except CallerGone:
        FAILURES.labels(upstream.name, "caller gone").inc()
    except asyncio.CancelledError:
        if not watch.caller_gone:
            raise
        watch.forgive()
        FAILURES.labels(upstream.name, "caller gone").inc()
    except Exception as error:
        if not reply.begun:
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded(upstream.name) from error
            raise
        FAILURES.labels(upstream.name, "broken off").inc()
        log.warning("answer broken off", upstream=upstream.name, error=type(error).__name__)
    finally:
        watch.end()


async def _exchange(
    upstream: Upstream, settings: GatewaySettings, visit: Visit, scope: Scope, watch: "Watch", reply: "Reply"
) -> None:
    """An ordinary call: 10 s in total. The service has at most 3 s to start its answer."""
    total = min(settings.total_seconds, _callers_deadline(visit.headers))
    loop = asyncio.get_running_loop()
    until = loop.time() + total
    async with asyncio.timeout_at(until) as patience:
        length = declared_length(visit.headers)
        try:
            body = await take_body(watch.receive, length, settings.max_body_bytes, _nothing, watch.begin)
        except asyncio.CancelledError:
            if not patience.expired():
                raise
            # The service was not called yet: the caller was too slow.
            raise DomainError(
                "request-timeout",
                said("The body was not complete within {total:g} seconds. Send it in one piece.", total=total),
            ) from None
        with upstream.calls.slot(visit.caller):
            hop = min(settings.hop_seconds, until - loop.time())
            headers = _headers(visit, scope, body, length)
            headers.append(("crm-deadline-ms", str(max(1, int((hop - MARGIN_SECONDS) * 1000)))))
            method, target, repeatable = scope["method"], _target(scope), _repeatable(scope, visit, body)
            answer = await upstream.open(method, target, headers, body, seconds=hop, repeatable=repeatable)
            if answer.status == 401 and visit.renew is not None and not isinstance(body, Upload):
                # The service heard of a change of rights before the gateway. It has done nothing yet.
                answer.close()
                renewed = [pair for pair in headers if pair[0] != "authorization"]
                renewed.append(("authorization", f"Bearer {await visit.renew()}"))
                answer = await upstream.open(method, target, renewed, body, seconds=hop, repeatable=repeatable)
            await reply.relay(answer, _nothing)


async def _transfer(
    upstream: Upstream, settings: GatewaySettings, visit: Visit, scope: Scope, watch: "Watch", reply: "Reply"
) -> None:
    """An import or a file: no time limit as long as the caller keeps up."""
    async with asyncio.timeout(None) as patience:
        pace = Pace(settings, patience)
        try:
            async with upstream.transfers.one(visit.caller) as transfer:

                async def admit() -> None:
                    pace.wait_for_service()
                    await transfer.admit()

                length, limit = declared_length(visit.headers), settings.max_transfer_bytes
                body = await take_body(watch.receive, length, limit, pace.moved, watch.begin, admit)
                if not isinstance(body, Upload):
                    await admit()
                headers = _headers(visit, scope, body, length)
                answer = await upstream.open(scope["method"], _target(scope), headers, body)
                pace.wait_for_caller()
                await reply.relay(answer, pace.moved)
        except asyncio.CancelledError:
            if patience.expired() and pace.waits_for_caller and not reply.begun:
                raise pace.too_slow() from None
            raise


class Watch:
    """Cancels the request if the caller hangs up while the gateway waits for the service.

    It starts after a delay. Most answers arrive before, and a task for each of them would cost more than the answer.
    """

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.caller_gone = False
        self._owner = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The body has been received, so the next message is the end of the connection."""
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._start)

    def end(self) -> None:
        """The answer was sent, or abandoned."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def forgive(self) -> None:
        """Clear the cancellation that this class caused."""
        if self._owner is not None:
            self._owner.uncancel()

    def _start(self) -> None:
        self._task = asyncio.create_task(self._wait(), name="watch the caller")

    async def _wait(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.caller_gone = True
        if self._owner is not None:
            self._owner.cancel()


class Reply:
    """An answer on its way to the caller."""

    def __init__(self, send: Send, added: Sequence[tuple[bytes, bytes]]) -> None:
        self.begun = False
        self._send, self._added = send, added

    async def relay(self, answer: ClientResponse, progress: Progress) -> None:
        """Pass on headers and body as they arrive. Raises if the service breaks off or the time is over."""
        content = answer.content
        try:
            headers = for_caller(answer.raw_headers)
            headers.extend(self._added)
            self.begun = True
            await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
            while True:
                chunk = await content.readany()
                more = not content.at_eof()
                await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
                if not more:
                    return
                progress(len(chunk))
        finally:
            # Returns the connection to the pool if the body was read to its end, else closes it.
            answer.release() if content.at_eof() else answer.close()


def _headers(visit: Visit, scope: Scope, body: bytes | Upload | None, length: int | None) -> list[tuple[str, str]]:
    host = visit.headers.get(b"host", b"")
    passed = for_upstream(
        scope["headers"], scope["crm.cause"], scheme=scope["scheme"], host=host, address=visit.address
    )
    if isinstance(body, Upload) and length is not None:
        passed.append(("content-length", str(length)))
    return passed


def _target(scope: Scope) -> str:
    target: str = scope["raw_path"].decode("ascii")
    return f"{target}?{scope['query_string'].decode('ascii')}" if scope["query_string"] else target


def _repeatable(scope: Scope, visit: Visit, body: bytes | Upload | None) -> bool:
    """Whether the request can be sent again after a broken connection: it changes nothing, or the service recognises
    repeats."""
    if isinstance(body, Upload):
        return False
    method = scope["method"]
    return method in ("GET", "HEAD") or (method == "POST" and b"idempotency-key" in visit.headers)


def _callers_deadline(headers: dict[bytes, bytes]) -> float:
    sent = headers.get(b"crm-deadline-ms")
    if sent is None:
        return float("inf")
    if not sent.isdigit() or len(sent) > 9:
        raise DomainError("invalid-header", "Send Crm-Deadline-Ms as a number of milliseconds.")
    return int(sent) / 1000


def _nothing(size: int) -> None:
    """Ignore progress: the time limit of an ordinary call is fixed."""
