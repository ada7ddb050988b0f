"""The broker for a service: publishes with confirms, consumes with manual acknowledgements, and declares the topology.

This is the only module that uses AMQP. It uses aiormq, the protocol layer of aio-pika, because aio-pika's robust objects
reconnect without telling the caller. The caller must learn that a connection is lost, because unconfirmed messages are then
*unknown*, and unacknowledged ones will be delivered again.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, Self

import aiormq
import structlog
from aiormq import spec
from aiormq.abc import AbstractConnection, ChannelFrame, ConfirmationFrameType, DeliveredMessage, FrameType
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    InvalidFrameError,
    ProbableAuthenticationError,
    PublishError,
)
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from crm_kit.broker import lenient
from crm_kit.network.amqp_urls import CONNECT_SECONDS, Broker, Brokers
from crm_kit.network.certificates import names_another
from crm_kit.network.urls import BadUrl

log = structlog.get_logger(__name__)
lenient.install()
# Our code logs the reason of a failed connection once; the library would log an additional error with less information.
logging.getLogger("aiormq.connection").addFilter(
    lambda record: not record.msg.startswith("error when creating transport")
)

EVENTS = "crm.events"
REPLAY = "crm.replay"
"""The prefix of the exchanges with which services send to one queue."""
DIRECT = "crm.direct"
"""Forwards messages from those exchanges. A routing key is a queue's name and a type, and each queue is bound to the types
that it may receive."""
DEAD_LETTERS = "crm.dlx"
LOG = "crm.log"


def replay_of(service: str) -> str:
    """Return the exchange with which a service sends to one queue. Only the service's broker user may publish to it."""
    return f"{REPLAY}.{service}"


def direct_key(queue: str, type_: str) -> str:
    """Return the routing key of a message of this type to one queue. With a pattern as the type, it is a binding key."""
    return f"{queue}.{type_}"


def user_in(url: str) -> str:
    """Return the user of an AMQP URL."""
    return _brokers(url).user


def inbox_of(service: str) -> str:
    """Return the queue that all handler groups of a service share."""
    return f"crm.{service}.inbox"


def access_of(service: str) -> str:
    """Return the queue of a service's access events, which do not wait for other events."""
    return f"crm.{service}.access"


SNAPSHOT_REQUEST = "crm.control.snapshot-request"
"""The type of a control message that requests a snapshot of the current records."""

CONTENT_TYPE = "application/cloudevents+json"


class BrokerDown(Exception):
    """The broker cannot be reached, or the connection to it was lost."""


class TopologyMissing(Exception):
    """A queue or exchange that this process needs is not declared. ``crm topology apply`` declares it."""


class Outcome(Enum):
    """The outcome of one published message."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    """No queue is bound for the message; the broker returned it."""
    REFUSED = "refused"
    """A queue did not accept the message (it is full, or the broker failed), or the sender may not send it."""
    UNKNOWN = "unknown"
    """The connection was lost, or no answer came within 5 s: the message may or may not have arrived."""
    CLOSED = "closed"
    """The broker closed the channel because of one of several messages and does not say which: treat all as unknown."""


UNSURE = frozenset({Outcome.UNKNOWN, Outcome.CLOSED})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send."""

    body: bytes
    routing_key: str
    properties: spec.Basic.Properties


def outgoing(
    body: bytes, routing_key: str, *, message_id: str, headers: dict[str, Any], content_type: str = CONTENT_TYPE
) -> Outgoing:
    """Return a persistent message. Its AMQP type is the header ``type``, or else the routing key."""
    properties = spec.Basic.Properties(
        content_type=content_type,
        delivery_mode=2,
        message_id=message_id,
        message_type=headers.get("type", routing_key),
        headers=headers,
    )
    return Outgoing(body, routing_key, properties)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A received message. ``tag`` acknowledges it in its session."""

    body: bytes
    exchange: str
    routing_key: str
    message_id: str
    type: str
    headers: dict[str, Any]
    redelivered: bool
    tag: int
    user: str = ""
    """The broker user who published it, if set. The broker refuses a false one, and dead letters keep it."""


@contextmanager
def _speaking(what: str, reason: Callable[[BaseException], str] | None = None) -> Iterator[None]:
    """Convert every error of a lost connection into BrokerDown.

    aiormq also cancels tasks that wait on a lost connection; a cancellation that our code did not request is such a loss.
    """
    try:
        yield
    except (OSError, AMQPError, TimeoutError, RuntimeError) as error:
        raise BrokerDown(f"{what}: {(reason or _reason)(error)}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling() == 0:
            raise BrokerDown(f"{what}: the connection died") from error
        raise


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _unconnected(broker: Broker, error: BaseException) -> str:
    """Return the reason of a failed connection and the remedy, for an operator."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _without_tls(cause)
        if isinstance(cause, socket.gaierror):
            return f"the host is not known ({cause.strerror}): correct it"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused, nothing listens there: start the broker, or correct host and port"
        if isinstance(cause, ConnectionResetError) and broker.scheme == "amqp":
            return "the broker closed the connection before the log-in: a port that wants TLS needs amqps://"
    if isinstance(error, ProbableAuthenticationError):
        said = str(error.args[0]).rstrip(".") if error.args else "the broker does not say why"
        return f"the log-in was refused, {said}: correct the user {broker.user!r} or its password"
    if _is_of_vhost(error):
        return (
            f"the virtual host {broker.vhost!r} was refused: it does not exist, the user {broker.user!r} has no permission for"
            " it, or its limit of connections is reached"
        )
    if isinstance(error, TimeoutError):
        return f"no answer within {broker.seconds:g} s: correct host and port, or connection_timeout"
    return _reason(error)


def _is_of_vhost(error: BaseException | None) -> bool:
    # The driver does not tell what the broker said.
    return isinstance(error, InvalidFrameError) and "Connection.OpenOk" in str(error)


def lacks_vhost(error: BrokerDown) -> bool:
    """Whether the log-in succeeded and only the virtual host was refused, which may not exist yet."""
    return _is_of_vhost(error.__cause__)


def _without_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = (
            "write a host that it names, or the name as server_name_indication"
            if names_another(error)
            else "name the certificate of its authority as cacertfile"
        )
        return f"the broker's certificate is not trusted, {error.verify_message.rstrip('.')}: {remedy}"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "the port does not speak TLS: write amqp://, or the port that does (5671)"
    if "CERTIFICATE_REQUIRED" in (error.reason or ""):
        return "the broker wants a certificate of the client: name certfile and keyfile"
    return f"TLS failed ({error.reason or error})"


def _reason(error: BaseException) -> str:
    """Return the error in words, for an operator."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    told = next((arg for arg in reversed(error.args) if isinstance(arg, str) and arg), "")
    return f"{type(error).__name__}{f' ({told})' if told else ''}"


@lru_cache(maxsize=64)
def _brokers(url: str) -> Brokers:
    return Brokers.of(url)


_FIRST: dict[str, int] = {}
"""For each list, the last broker that answered; the next connection starts there."""


async def _connect(url: str, name: str) -> AbstractConnection:
    """Connect to the first available broker of the list. Raises BrokerDown with the error of each."""
    brokers = _brokers(url).all
    first, failures = _FIRST.get(url, 0), []
    for turn in range(len(brokers)):
        position = (first + turn) % len(brokers)
        try:
            connection = await _connect_to(brokers[position], name)
        except BrokerDown as error:
            failures.append(error)
        else:
            _FIRST[url] = position
            return connection
    raise BrokerDown("; ".join(map(str, failures))) from failures[-1].__cause__


async def _connect_to(broker: Broker, name: str) -> AbstractConnection:
    with _speaking(f"AMQP_URL, {broker}", partial(_unconnected, broker)):
        try:
            context = broker.tls()
        except BadUrl as error:
            raise BrokerDown(f"AMQP_URL, {broker}: {error}") from error
        server: dict[str, Any] = {"server_hostname": broker.server_name} if context and broker.server_name else {}
        async with asyncio.timeout(broker.seconds):
            return await aiormq.connect(broker.url(name), context=context, **server)


async def _channel(connection: AbstractConnection, *, publisher_confirms: bool) -> aiormq.Channel:
    channel = await connection.channel(publisher_confirms=publisher_confirms, on_return_raises=True)
    assert isinstance(channel, aiormq.Channel)
    return channel


async def _disconnect(connection: AbstractConnection | None) -> None:
    """Close with a time limit, because a frozen broker may not answer."""
    if connection is None or connection.is_closed:
        return
    with suppress(BrokerDown), _speaking("close"):
        async with asyncio.timeout(1):
            await connection.close()


class Publisher:
    """One connection with one confirm channel, opened on demand and closed after any uncertain outcome."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url, self._name = url, name
        self._user = user_in(url)
        self._connection: AbstractConnection | None = None
        self._channel: aiormq.Channel | None = None

    async def ready(self) -> aiormq.Channel:
        """Return the open channel, or open one. Raises BrokerDown if that fails."""
        if self._channel is not None and not self._channel.is_closed:
            return self._channel
        await self.close()
        self._connection = await _connect(self._url, self._name)
        try:
            with _speaking("open a channel"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._channel = channel = await _channel(self._connection, publisher_confirms=True)
        except BrokerDown:
            await self.close()
            raise
        return channel

    async def publish(self, exchange: str, messages: Sequence[Outgoing], *, seconds: float = 5.0) -> list[Outcome]:
        """Send messages in order and wait for all confirms together, for at most ``seconds``. Returns the outcome of each.

        A channel with an unknown outcome is not used again. Raises BrokerDown if no channel can be opened.
        """
        if not messages:
            return []
        channel = await self.ready()
        for message in messages:
            message.properties.user_id = self._user
        try:
            sends = await _send(channel, exchange, messages)
        except BaseException:
            await self.close()  # the number of sent and counted messages may differ now
            raise
        try:
            _, late = await asyncio.wait(sends, timeout=seconds)
        except asyncio.CancelledError:
            for send in sends:
                send.cancel()
            raise
        for send in late:
            send.cancel()
        outcomes = [_outcome(send, alone=len(sends) == 1) for send in sends]
        unsure = [index for index, outcome in enumerate(outcomes) if outcome in UNSURE]
        if unsure:
            first = sends[unsure[0]]
            reason = first.exception() if first.done() and not first.cancelled() else None
            log.warning("bus.unconfirmed", messages=len(unsure), error=str(reason or "no answer"))
            await asyncio.gather(*late, return_exceptions=True)
            await self.close()
        return outcomes

    async def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """Return the number of ready messages in each of these queues. It does not disturb publishing.

        Raises BrokerDown, also if nothing has been published yet.
        """
        connection, found = self._connection, {}
        if connection is None or connection.is_closed:
            # Only publishing opens a connection.
            raise BrokerDown("no connection to look at the queues by")
        with _speaking("look at the queues"):
            async with asyncio.timeout(CONNECT_SECONDS):
                channel = await _channel(connection, publisher_confirms=False)
                for queue in queues:
                    declared = await channel.queue_declare(queue, passive=True)
                    found[queue] = declared.message_count or 0
                await channel.close()
        return found

    async def close(self) -> None:
        """Close the connection. The next publish opens another."""
        connection, self._connection, self._channel = self._connection, None, None
        await _disconnect(connection)


PIECE_BYTES = 128 * 1024


async def _send(
    channel: aiormq.Channel, exchange: str, messages: Sequence[Outgoing]
) -> "list[asyncio.Future[ConfirmationFrameType]]":
    """Send all messages in as few writes as possible, and return the pending confirm of each.

    ``Channel.basic_publish`` does this for one message, with a task, a timeout and a packet each.
    """
    confirms: list[asyncio.Future[ConfirmationFrameType]] = []
    frames: list[FrameType | ContentBody] = []
    size = 0
    async with channel.lock:
        for message in messages:
            channel.delivery_tag += 1
            confirm = channel.create_future()
            channel.confirmations[channel.delivery_tag] = confirm
            # Maps a returned message to its confirm.
            message_id = message.properties.message_id or ""
            channel.message_id_delivery_tag[message_id] = channel.delivery_tag
            confirm.add_done_callback(partial(_forget, channel, message_id, channel.delivery_tag))
            confirms.append(confirm)
            frames.append(spec.Basic.Publish(exchange=exchange, routing_key=message.routing_key, mandatory=True))
            frames.append(ContentHeader(properties=message.properties, body_size=len(message.body)))
            frames.extend(_split(message.body, channel.max_content_size))
            size += len(message.body)
            if size >= PIECE_BYTES or message is messages[-1]:
                await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames))
                frames, size = [], 0
    return confirms


def _forget(channel: aiormq.Channel, message_id: str, tag: int, _: object) -> None:
    if channel.message_id_delivery_tag.get(message_id) == tag:
        del channel.message_id_delivery_tag[message_id]


def _split(body: bytes, size: int) -> list[ContentBody]:
    return [ContentBody(body[start : start + size]) for start in range(0, len(body), size)]


def _outcome(send: "asyncio.Future[Any]", *, alone: bool) -> Outcome:
    if not send.done() or send.cancelled():
        return Outcome.UNKNOWN  # aiormq also cancels a publish when its connection is lost
    match send.exception():
        case None:
            return Outcome.CONFIRMED
        case PublishError():
            return Outcome.RETURNED
        case DeliveryError():
            return Outcome.REFUSED
        case ChannelAccessRefused() | ChannelPreconditionFailed():
            return Outcome.REFUSED if alone else Outcome.CLOSED
        case _:
            return Outcome.UNKNOWN


class Session:
    """A consumer on one queue for the life of its connection: ``async with Session(...) as session``."""

    def __init__(self, url: str, queue: str, *, name: str, prefetch: int) -> None:
        self._url, self._queue, self._name, self.prefetch = url, queue, name, prefetch
        self._connection: AbstractConnection | None = None
        self._channel: aiormq.Channel | None = None
        self._tag = ""
        self._arrived: asyncio.Queue[Delivery | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._connection = await _connect(self._url, self._name)
        try:
            with _speaking(f"consume {self._queue}"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._channel = await _channel(self._connection, publisher_confirms=False)
                    self._channel.closing.add_done_callback(self._lost)
                    self._channel.on_consumer_cancel_callbacks.add(self._canceled)
                    await self._channel.queue_declare(self._queue, passive=True)
                    await self._consume()
        except BrokerDown as error:
            await self.close()
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                raise TopologyMissing(f"queue {self._queue} is not declared; run: crm topology apply") from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _lost(self, closing: "asyncio.Future[Any]") -> None:
        if not closing.cancelled():
            closing.exception()
        self._arrived.put_nowait(None)

    def _canceled(self, _: spec.Basic.Cancel) -> None:
        self._arrived.put_nowait(None)

    async def _consume(self) -> None:
        channel = self._open_channel()
        await channel.basic_qos(prefetch_count=self.prefetch)
        self._tag = (await channel.basic_consume(self._queue, self._receive)).consumer_tag or ""

    def _open_channel(self) -> aiormq.Channel:
        if self._channel is None or self._channel.is_closed:
            raise BrokerDown("the consumer's connection is closed")
        return self._channel

    async def _receive(self, message: DeliveredMessage) -> None:
        frame, properties = message.delivery, message.header.properties
        assert isinstance(frame, spec.Basic.Deliver)
        self._arrived.put_nowait(
            Delivery(
                body=message.body,
                exchange=frame.exchange or "",
                routing_key=frame.routing_key or "",
                message_id=properties.message_id or "",
                type=properties.message_type or "",
                headers=dict(properties.headers or {}),
                redelivered=bool(frame.redelivered),
                tag=frame.delivery_tag or 0,
                user=properties.user_id or "",
            )
        )

    async def batch(self, limit: int, *, linger: float = 0.005) -> list[Delivery]:
        """Wait for a delivery, then take up to ``limit`` deliveries within ``linger`` seconds. Raises BrokerDown."""
        first = await self._arrived.get()
        if first is None:
            raise BrokerDown("the consumer was canceled or its connection lost")
        taken = [first]
        deadline = asyncio.get_running_loop().time() + linger
        while len(taken) < limit:
            if self._arrived.empty():
                try:
                    async with asyncio.timeout_at(deadline):
                        delivery = await self._arrived.get()
                except TimeoutError:
                    break
            else:
                delivery = self._arrived.get_nowait()
            if delivery is None:
                raise BrokerDown("the consumer was canceled or its connection lost")
            taken.append(delivery)
        return taken

    async def set_prefetch(self, prefetch: int) -> None:
        """Consume with another prefetch window; earlier deliveries must still be acknowledged."""
        channel = self._open_channel()
        self.prefetch = prefetch
        with _speaking(f"consume {self._queue}"):
            await channel.basic_cancel(self._tag)
            await self._consume()

    async def ack(self, tag: int) -> None:
        """Acknowledge everything up to and including ``tag``. Raises BrokerDown; then all of it is delivered again."""
        with _speaking("acknowledge"):
            await self._open_channel().basic_ack(tag, multiple=True, wait=False)

    async def reject(self, tag: int) -> None:
        """Reject one delivery: the broker moves it to the dead letters. Raises BrokerDown; then it is delivered again."""
        with _speaking("reject"):
            await self._open_channel().basic_nack(tag, multiple=False, requeue=False, wait=False)

    async def close(self) -> None:
        """Stop consuming. Unacknowledged deliveries go back to the queue."""
        connection, self._connection, self._channel = self._connection, None, None
        await _disconnect(connection)


BrokerRefused = AMQPError
"""The broker refused, because something exists with other arguments or the user lacks a permission."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue to declare, with its bindings (exchange, routing key)."""

    name: str
    arguments: dict[str, Any]
    bindings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange to declare."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A binding that forwards all messages of one exchange to another."""

    source: str
    destination: str


async def declare(
    url: str,
    exchanges: Sequence[Exchange],
    queues: Sequence[Queue],
    passages: Sequence[Passage] = (),
    retired: Sequence[str] = (),
) -> None:
    """Declare everything, and delete the retired exchanges. It may be repeated.

    Raises BrokerDown, or AMQPError if something exists with other arguments.
    """
    connection = await _connect(url, "topology")
    try:
        channel = await connection.channel(publisher_confirms=False)
        for exchange in exchanges:
            await channel.exchange_declare(exchange.name, exchange_type=exchange.kind, durable=True)
        for name in retired:
            await channel.exchange_delete(name)
        for passage in passages:
            await channel.exchange_bind(passage.destination, passage.source)
        for queue in queues:
            await channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
            for source, key in queue.bindings:
                await channel.queue_bind(queue.name, source, key)
    finally:
        await _disconnect(connection)


async def missing(url: str, exchanges: Sequence[str], queues: Sequence[str]) -> list[str]:
    """Return the exchanges and queues that do not exist, checked by passive declaration. Raises BrokerDown."""
    connection = await _connect(url, "topology check")
    absent: list[str] = []
    try:
        with _speaking("check the topology"):
            async with asyncio.timeout(3 * CONNECT_SECONDS):
                for name in exchanges:
                    if not await _exists(connection, name, is_exchange=True):
                        absent.append(f"exchange {name}")
                for name in queues:
                    if not await _exists(connection, name, is_exchange=False):
                        absent.append(f"queue {name}")
    finally:
        await _disconnect(connection)
    return absent


async def depths(url: str, queues: Sequence[str]) -> dict[str, int]:
    """Return the number of ready messages in each of these queues, without unacknowledged ones. Raises BrokerDown.

    The management API reports nothing or 0 for a queue that its node has just recovered, so this does not use it.
    """
    connection = await _connect(url, "queue depths")
    found: dict[str, int] = {}
    try:
        with _speaking("ask for the depth of queues"):
            async with asyncio.timeout(3 * CONNECT_SECONDS):
                channel = await _channel(connection, publisher_confirms=False)
                for name in queues:
                    declared = await channel.queue_declare(name, passive=True)
                    found[name] = declared.message_count or 0
    finally:
        await _disconnect(connection)
    return found


async def _exists(connection: AbstractConnection, name: str, *, is_exchange: bool) -> bool:
    channel = await _channel(connection, publisher_confirms=False)  # a failed check closes its channel
    try:
        if is_exchange:
            await channel.exchange_declare(name, passive=True)
        else:
            await channel.queue_declare(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True
