"""HTTP connections with limits for the size and the duration of a head, and for the connections of one address.

uvicorn's protocol over httptools has no such limits for an incomplete head (ADR 31). A request that is refused here has
not reached the app, so the problem is written directly to the connection.
"""

import asyncio
import os
import resource
from dataclasses import dataclass
from random import uniform
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from crm_contracts.sentences import said
from crm_kit.configuration.settings import Settings
from crm_kit.errors import DomainError
from crm_kit.http.problems import problem
from crm_kit.network.addresses import (
    LOOPBACK,
    Networks,
    is_one_of,
)
from crm_kit.process.handover import HANDOVER
from crm_kit.signals.metrics import counter

HEAD_BYTES: Final = 64 * 1024
HEAD_FIELDS: Final = 100
PIPELINED: Final = 16
"""Requests that may wait on one connection behind the current one."""
SLICE: Final = 64 * 1024
"""Bytes that are parsed at once; an event loop reads up to four times as many."""
LINGER_SECONDS: Final = 10.0
LINGER_BYTES: Final = 64 * 1024 * 1024
"""Bytes of a body that are read and dropped after its answer, so that a sender who reads only afterwards gets the answer."""
WRITE_SECONDS: Final = 30.0
"""Seconds after which a client that reads nothing of its answer is disconnected."""
OTHER_FILES: Final = 256
"""File descriptors reserved for everything except callers' connections."""

REFUSED = counter("crm.http.refused", "Connections and requests refused before they reached the app.", "reason")


class Overloaded(DomainError):
    """The address or the whole process has reached its limit of busy connections."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(slug, detail, members={"retry_after": 1})


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one process; the settings of the same names describe them."""

    head_seconds: float = 10.0
    per_address: int = 256
    per_proxy: int = 1024
    total: int = 2048
    proxies: Networks = ()
    keep_alive_seconds: float = 300.0
    keep_alive_requests: int = 10_000

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits from the settings, reduced to the available file descriptors."""
        return cls(
            settings.head_seconds,
            settings.connections_per_address,
            settings.connections_per_proxy,
            min(settings.max_connections, max(64, _descriptors() - OTHER_FILES)),
            settings.proxies,
            settings.keep_alive_seconds,
            settings.keep_alive_requests,
        )


def _descriptors() -> int:
    """Raise the limit of open files to the hard limit, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < (wanted := min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


class Peer:
    """The connections of one address: their number, and those that wait for a head, longest first."""

    __slots__ = ("idle", "limit", "name", "open", "unheard")

    def __init__(self, name: str, limit: int) -> None:
        self.name, self.limit, self.open = name, limit, 0
        self.unheard: dict[Connection, None] = {}
        self.idle: dict[Connection, None] = {}

    def evict(self) -> bool:
        """Close the connection that has waited longest for a head, else the one idle longest; False if all are busy."""
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
        """Count a new connection. At the limit, a silent one is closed for it; raises ``Overloaded`` if all are busy."""
        peer = self._peers.get(address) or Peer(address, self._limit(address))
        if peer.open >= peer.limit and not peer.evict():
            raise Overloaded(
                "too-many-requests",
                said(
                    "Your address has {limit} connections under way. Close some, or use one for many requests.",
                    limit=peer.limit,
                ),
            )
        if self.open >= self._limits.total and not self._make_way():
            raise Overloaded("unavailable", "The service has as many connections as it can hold; try again.")
        self._peers[address] = peer
        peer.open += 1
        self.open += 1
        return peer

    def leave(self, peer: Peer) -> None:
        """Stop counting a connection."""
        peer.open -= 1
        self.open -= 1
        if not peer.open:
            self._peers.pop(peer.name, None)

    def _make_way(self) -> bool:
        """Close one connection of the address with the most connections."""
        return any(peer.evict() for peer in sorted(self._peers.values(), key=lambda peer: -peer.open))

    def _limit(self, address: str) -> int:
        trusted = is_one_of(address, LOOPBACK) or is_one_of(address, tuple(self._limits.proxies))
        return self._limits.per_proxy if trusted else self._limits.per_address


class Refused(Exception):
    """Aborts the parser; ``Connection.refusal`` has the reason."""


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
        """The refusal of a request that waits behind unanswered ones; nothing more is read."""
        self._in_head, self._in_body = True, False
        self._head_begun = False
        self._piece = 0
        self._head_bytes = self._body_bytes = self._framing_bytes = self._thrown_away = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unwritten = 0
        self._requests = 0
        # Connections that were opened together, after a restart, should not end together.
        self._renewed_at = self.loop.time() + self.limits.keep_alive_seconds * uniform(0.9, 1.0)

    # -- from the transport ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Count the connection, or refuse it."""
        super().connection_made(transport)
        try:
            self._peer = self.peers.enter(self.client[0] if self.client else "")
        except Overloaded as error:
            self._refuse(error, "connections")
            return
        self._peer.unheard[self] = None
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Parse the data in pieces, and check the limits after each."""
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
                # The parser has no limit for chunk extensions and trailers.
                self._refuse(DomainError("invalid-request", "Send chunks that are as long as they say."), "framing")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        self._forget()
        for timer in (self._head_timer, self._body_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        super().pause_writing()
        self._unwritten = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._judge_reader)

    def resume_writing(self) -> None:
        """The client has caught up."""
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
        """A header field. Trailers are dropped, because the app may have started and would see them as headers."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: pass the request to the app, unless there are too many."""
        if self._head_bytes + self._piece > HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > HEAD_BYTES:
                self.refusal = _too_large()
                raise Refused
        if len(self.headers) > HEAD_FIELDS:
            self.refusal = DomainError(
                "head-too-large",
                said("Send at most {most} header fields.", most=HEAD_FIELDS),
                members={"limit": HEAD_FIELDS},
            )
            raise Refused
        if len(self.pipeline) >= PIPELINED:
            # Earlier requests are answered first, then the refusal is sent.
            self.refusal = Overloaded(
                "too-many-requests",
                said(
                    "One connection has at most {most} requests under way. Send this one again when others are answered.",
                    most=PIPELINED + 1,
                ),
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
            # The answer announces the end of the connection. The body must be read first: closing with unread data
            # resets the connection, and the answer may be lost.
            self.cycle.keep_alive = False
        self._body_bytes = self._framing_bytes = self._thrown_away = 0
        self._head_bytes = -self._piece  # data that arrived with the end of this request is not part of the next head
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
            # The rest of the body is read and dropped, so that the next request can be parsed.
            self._body_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        elif not self.pipeline:
            self._rest()

    @property
    def _is_to_go(self) -> bool:
        """Whether the connection is too old, or the process ends."""
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
            detail = said(
                "Send the head of the request within {head_seconds:g} seconds.", head_seconds=self.limits.head_seconds
            )
            self._refuse(DomainError("request-timeout", detail), None)
        else:
            self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if the last answer was never read."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    # -- ending ----------------------------------------------------------------------------------------------------

    def dismiss(self) -> None:
        """The process ends: the current answer announces it if it has not begun, else the next one does."""
        if self.cycle is not None and not self.cycle.response_started and not self._in_body:
            self.cycle.keep_alive = False

    @property
    def unheard(self) -> bool:
        """Whether the connection is new and has sent nothing yet."""
        return self.cycle is None and not self._leaving

    def shutdown(self) -> None:
        """Close the connection, after the current request, if any."""
        if not (self._in_head and self._head_begun):
            super().shutdown()

    def evict(self) -> None:
        """Close this connection in favour of another one."""
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
        """Answer data that the parser could not read, or that a limit refused."""
        self._refuse(self.refusal or DomainError("invalid-request", "Send HTTP/1.1 as RFC 9112 defines it."), "head")

    def _refuse(self, error: DomainError, reason: str | None) -> None:
        if reason is not None:
            REFUSED.labels(reason).inc()
        words = _words(error)
        if self.cycle is None or self.cycle.response_complete:
            self._end(words)
        elif self._in_head or self.pipeline:
            if not self._in_head:
                # An accepted request is refused because of its body: it is the last waiting one.
                self.pipeline.popleft()
            self._last_words = words
            if self._head_timer is not None:
                self._head_timer.cancel()
        elif self.cycle.response_started:
            # Its answer is partly written, so no refusal can be sent.
            self.transport.abort()
        else:
            # The current request cannot be read further: the app sees a disconnect.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._end(words)

    def _end(self, words: bytes) -> None:
        self.transport.write(words)
        self._leave()

    def _leave(self) -> None:
        """Close our side, and briefly read what is still sent, because closing at once could lose the answer."""
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
        said("Send at most {most} bytes in the request line and the header fields.", most=HEAD_BYTES),
        members={"limit": HEAD_BYTES},
    )


def limited(limits: Limits) -> type[Connection]:
    """The protocol class with these ``limits``; all its connections are counted together."""
    return type("LimitedConnection", (Connection,), {"limits": limits, "peers": Peers(limits)})
