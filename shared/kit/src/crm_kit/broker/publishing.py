"""Publishing with confirms."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import aiormq
import structlog
from aiormq import spec
from aiormq.abc import AbstractConnection, ChannelFrame, ConfirmationFrameType, FrameType
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed, DeliveryError, PublishError
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from crm_kit.broker.connecting import BrokerDown, connect, disconnect, open_channel, speaking, user_in
from crm_kit.broker.messages import UNSURE, Outcome, Outgoing
from crm_kit.network.amqp_urls import CONNECT_SECONDS

log = structlog.get_logger(__name__)


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
        self._connection = await connect(self._url, self._name)
        try:
            with speaking("open a channel"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._channel = channel = await open_channel(self._connection, publisher_confirms=True)
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
        with speaking("look at the queues"):
            async with asyncio.timeout(CONNECT_SECONDS):
                channel = await open_channel(connection, publisher_confirms=False)
                for queue in queues:
                    declared = await channel.queue_declare(queue, passive=True)
                    found[queue] = declared.message_count or 0
                await channel.close()
        return found

    async def close(self) -> None:
        """Close the connection. The next publish opens another."""
        connection, self._connection, self._channel = self._connection, None, None
        await disconnect(connection)


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
