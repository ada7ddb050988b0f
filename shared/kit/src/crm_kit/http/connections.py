"""HTTP connections with limits: how large a head is, how long it may take, and how many connections one address has.

uvicorn's protocol over httptools knows none of these for a head that is not complete (ADR 31). What is refused here has
not reached the app, so the problem is written straight to the connection.
"""

import asyncio
import os
import resource
from dataclasses import dataclass
from random import uniform
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from crm_kit.configuration.settings import Settings
from crm_kit.errors import DomainError
from crm_kit.http.problems import problem
from crm_kit.network.addresses import (
    LOOPBACK,
    Networks,
    is_one_of,
    networks,
)
from crm_kit.process.handover import HANDOVER
from crm_kit.signals.metrics import counter

HEAD_BYTES: Final = 64 * 1024
HEAD_FIELDS: Final = 100
PIPELINED: Final = 16
"""Requests that may wait on one connection behind the one being answered."""
SLICE: Final = 64 * 1024
"""What is parsed at once: an event loop reads up to four times as much."""
LINGER_SECONDS: Final = 10.0
LINGER_BYTES: Final = 64 * 1024 * 1024
"""How much of a body is thrown away after its answer, so that a sender who reads only afterwards finds the answer."""
WRITE_SECONDS: Final = 30.0
"""After which a reader who takes nothing of an answer is dropped."""
OTHER_FILES: Final = 256
"""Descriptors left for everything that is not a connection of a caller."""

REFUSED = counter("crm.http.refused", "Connections and requests refused before they reached the app.", "reason")


class Overloaded(DomainError):
    """This address, or the whole process, has as many connections under way as it may."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(slug, detail, members={"retry_after": 1})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process grants; the settings of the same names say more."""

    head_seconds: float = 10.0
    per_address: int = 256
    per_proxy: int = 1024
    total: int = 2048
    proxies: Networks = ()
    keep_alive_seconds: float = 300.0
    keep_alive_requests: int = 10_000

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits that the settings name, as far as the process has descriptors for them."""
        return cls(
            settings.head_seconds,
            settings.connections_per_address,
            settings.connections_per_proxy,
            min(settings.max_connections, max(64, _descriptors() - OTHER_FILES)),
            networks(settings.trusted_proxies),
            settings.keep_alive_seconds,
            settings.keep_alive_requests,
        )


def _descriptors() -> int:
    """How many files the process may open, as many as the operator's hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < (wanted := min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


class Peer:
    """The connections of one address: how many, and which of them wait for a head, longest first."""

    __slots__ = ("idle", "limit", "name", "open", "unheard")

    def __init__(self, name: str, limit: int) -> None:
        self.name, self.limit, self.open = name, limit, 0
        self.unheard: dict[Connection, None] = {}
        self.idle: dict[Connection, None] = {}

    def evict(self) -> bool:
        """Close the connection that has waited longest for a head, else the one idle longest; False when all are busy."""
        for waiting in (self.unheard, self.idle):
            for connection in waiting:
                connection.evict()
                return True
        return False


class Peers:
    """All connections of a process, by address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: dict[str, Peer] = {}
        self.open = 0

    def enter(self, address: str) -> Peer:
        """Count a new connection. One that sends nothing makes way for it; raises ``Overloaded`` when all are busy."""
        peer = self._peers.get(address) or Peer(address, self._limit(address))
        if peer.open >= peer.limit and not peer.evict():
            raise Overloaded(
                "too-many-requests",
                f"Your address has {peer.limit} connections under way. Close some, or use one for many requests.",
            )
        if self.open >= self._limits.total and not self._make_way():
            raise Overloaded("unavailable", "The service has as many connections as it can hold; try again.")
        self._peers[address] = peer
        peer.open += 1
        self.open += 1
        return peer

    def leave(self, peer: Peer) -> None:
        """A connection has ended."""
        peer.open -= 1
        self.open -= 1
        if not peer.open:
            self._peers.pop(peer.name, None)

    def _make_way(self) -> bool:
        """Whoever has most connections gives one."""
        return any(peer.evict() for peer in sorted(self._peers.values(), key=lambda peer: -peer.open))

    def _limit(self, address: str) -> int:
        trusted = is_one_of(address, LOOPBACK) or is_one_of(address, tuple(self._limits.proxies))
        return self._limits.per_proxy if trusted else self._limits.per_address


class Refused(Exception):
    """Leaves the parser; what it means is in ``Connection.refusal``."""


class Connection(HttpToolsProtocol):
    """One connection. ``limited`` makes the class for a process."""

    limits: ClassVar[Limits]
    peers: ClassVar[Peers]

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.refusal: DomainError | None = None
        self._peer: Peer | None = None
        self._leaving = False
        self._last_words: bytes | None = None
        """The refusal of a request behind others whose answers are still due; nothing is read any more."""
        self._in_head, self._in_body = True, False
        self._head_begun = False
        self._piece = 0
        self._head_bytes = self._body_bytes = self._framing_bytes = self._thrown_away = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unwritten = 0
        self._requests = 0
        # Connections that were made together, after a restart, are not to end together.
        self._renewed_at = self.loop.time() + self.limits.keep_alive_seconds * uniform(0.9, 1.0)

    # -- from the transport ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Count it, or refuse it."""
        super().connection_made(transport)
        try:
            self._peer = self.peers.enter(self.client[0] if self.client else "")
        except Overloaded as error:
            self._refuse(error, "connections")
            return
        self._peer.unheard[self] = None
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Parse it piece by piece, and judge after each what has come of it."""
        view = data if len(data) <= SLICE else memoryview(data)
        for start in range(0, len(data), SLICE):
            if self._leaving or self._last_words is not None:
                self._throw_away(len(data) - start)
                return
            if self.transport.is_closing():
                return
            self._parse(view if len(data) <= SLICE else view[start : start + SLICE])  # type: ignore[arg-type]  # the parser takes any buffer

    def _parse(self, data: bytes) -> None:
        self._piece = len(data)
        body_bytes, answered = self._body_bytes, self._in_body and self.cycle.response_complete
        super().data_received(data)
        if self._leaving or self._last_words is not None or self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(_too_large(), "head")
            elif self._head_timer is None and (self._head_begun or self._head_bytes):
                self._await_head()
        elif self._in_body:
            if answered:
                self._throw_away(len(data))
            self._framing_bytes += len(data) - max(0, self._body_bytes - body_bytes)
            if self._framing_bytes > HEAD_BYTES + max(self._body_bytes, HEAD_BYTES):
                # Chunk extensions and trailers have no limit of their own in the parser.
                self._refuse(DomainError("invalid-request", "Send chunks that are as long as they say."), "framing")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._forget()
        for timer in (self._head_timer, self._body_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The other side reads more slowly than we write."""
        super().pause_writing()
        self._unwritten = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._judge_reader)

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    # -- from the parser -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request line begins."""
        super().on_message_begin()
        self._in_head, self._in_body, self._head_begun = True, False, True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head. Trailers are dropped: the app may have begun, and would see them as headers."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head stands: hand the request to the app, unless it is too much."""
        if self._head_bytes + self._piece > HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > HEAD_BYTES:
                self.refusal = _too_large()
                raise Refused
        if len(self.headers) > HEAD_FIELDS:
            self.refusal = DomainError(
                "head-too-large", f"Send at most {HEAD_FIELDS} header fields.", members={"limit": HEAD_FIELDS}
            )
            raise Refused
        if len(self.pipeline) >= PIPELINED:
            # Those before it are answered, and then it is.
            self.refusal = Overloaded(
                "too-many-requests",
                f"One connection has at most {PIPELINED + 1} requests under way. Send this one again when others are answered.",
            )
            raise Refused
        self._in_head, self._in_body, self._head_begun = False, True, False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._peer is not None:
            self._peer.unheard.pop(self, None)
            self._peer.idle.pop(self, None)
        super().on_headers_complete()
        self._requests += 1

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has been received."""
        super().on_message_complete()
        self._in_head, self._in_body = True, False
        if self._is_to_go and not self.cycle.response_started:
            # Its answer says that it is the last. Not before its body has been read: who closes with something unread
            # resets the connection, and may take the answer along.
            self.cycle.keep_alive = False
        self._body_bytes = self._framing_bytes = self._thrown_away = 0
        self._head_bytes = -self._piece  # what came with the end of this request is not of the next one's head
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        if self.cycle.response_complete:
            self._rest()

    def on_response_complete(self) -> None:
        """The answer has been written."""
        is_last = not self.pipeline
        super().on_response_complete()
        if self._last_words is not None:
            if is_last and not self.transport.is_closing():
                self._end(self._last_words)
        elif self._in_body:
            # What is left of the body is read and thrown away, so that the next request is found behind it.
            self._body_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        elif not self.pipeline:
            self._rest()

    @property
    def _is_to_go(self) -> bool:
        """Whether the connection is old, or the process is to end."""
        return (
            HANDOVER.ending or self._requests >= self.limits.keep_alive_requests or self.loop.time() >= self._renewed_at
        )

    def _rest(self) -> None:
        if self._peer is not None and not self.transport.is_closing():
            self._peer.idle[self] = None

    # -- limits ----------------------------------------------------------------------------------------------------

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.head_seconds, self._head_is_late)
        if self._peer is not None and self._peer.idle.pop(self, self) is None:
            self._peer.unheard[self] = None

    def _head_is_late(self) -> None:
        REFUSED.labels("late").inc()
        if self._head_bytes:
            detail = f"Send the head of the request within {self.limits.head_seconds:g} seconds."
            self._refuse(DomainError("request-timeout", detail), None)
        else:
            self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for a long time: close, also when the last answer was never read."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    # -- ending ----------------------------------------------------------------------------------------------------

    def dismiss(self) -> None:
        """The process is to end: the answer in hand says so where it has not begun, else the next one does."""
        if self.cycle is not None and not self.cycle.response_started and not self._in_body:
            self.cycle.keep_alive = False

    @property
    def unheard(self) -> bool:
        """Whether it was made, and nothing has come of it yet."""
        return self.cycle is None and not self._leaving

    def shutdown(self) -> None:
        """Close it, unless a request is under way: that one is answered first."""
        if not (self._in_head and self._head_begun):
            super().shutdown()

    def evict(self) -> None:
        """Make way for another connection."""
        REFUSED.labels("evicted").inc()
        self._forget()
        self.transport.abort()

    def _judge_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= self._unwritten:
            REFUSED.labels("reader").inc()
            self.transport.abort()
            return
        self._unwritten = left
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._judge_reader)

    def _forget(self) -> None:
        if self._peer is not None:
            peer, self._peer = self._peer, None
            peer.unheard.pop(self, None)
            peer.idle.pop(self, None)
            self.peers.leave(peer)

    # -- refusing --------------------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """What the parser could not read, or what was refused from within it."""
        self._refuse(self.refusal or DomainError("invalid-request", "Send HTTP/1.1 as RFC 9112 defines it."), "head")

    def _refuse(self, error: DomainError, reason: str | None) -> None:
        if reason is not None:
            REFUSED.labels(reason).inc()
        words = _words(error)
        if self.cycle is None or self.cycle.response_complete:
            self._end(words)
        elif self._in_head or self.pipeline:
            if not self._in_head:
                # It has been taken, and is refused over its body: it is the last of those that wait.
                self.pipeline.popleft()
            self._last_words = words
            if self._head_timer is not None:
                self._head_timer.cancel()
        elif self.cycle.response_started:
            # Its own answer is half written: nothing can be said any more.
            self.transport.abort()
        else:
            # It is the request in hand that cannot be read on: the app sees its caller gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._end(words)

    def _end(self, words: bytes) -> None:
        self.transport.write(words)
        self._leave()

    def _leave(self) -> None:
        """Close our side, and for a moment read what is still sent: closing at once could take the answer with it."""
        self._leaving = True
        self._forget()
        if not self.transport.is_closing():
            self.transport.write_eof()
        self._body_timer = self.loop.call_later(1.0, self.transport.abort)

    def _throw_away(self, size: int) -> None:
        self._thrown_away += size
        if self._thrown_away > LINGER_BYTES:
            self.transport.abort()


def _words(error: DomainError) -> bytes:
    answer = problem(error, "", os.urandom(16).hex(), {"connection": "close"})
    lines = [STATUS_LINE[answer.status_code]]
    for name, value in answer.raw_headers:
        lines += [name, b": ", value, b"\r\n"]
    return b"".join([*lines, b"\r\n", answer.body])


def _too_large() -> DomainError:
    return DomainError(
        "head-too-large",
        f"Send at most {HEAD_BYTES} bytes in the request line and the header fields.",
        members={"limit": HEAD_BYTES},
    )


def limited(limits: Limits) -> type[Connection]:
    """The protocol of a process that grants ``limits``; its connections are counted together."""
    return type("LimitedConnection", (Connection,), {"limits": limits, "peers": Peers(limits)})
