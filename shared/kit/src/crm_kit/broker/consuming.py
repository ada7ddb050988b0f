"""Consuming with manual acknowledgements."""

import asyncio
from types import TracebackType
from typing import Any, Self

import aiormq
from aiormq import spec
from aiormq.abc import AbstractConnection, DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity

from crm_kit.broker.connecting import BrokerDown, connect, disconnect, open_channel, speaking
from crm_kit.broker.messages import Delivery
from crm_kit.network.amqp_urls import CONNECT_SECONDS


class TopologyMissing(Exception):
    """A queue or exchange that this process needs is not declared. ``crm topology apply`` declares it."""


class Session:
    """A consumer on one queue for the life of its connection: ``async with Session(...) as session``."""

    def __init__(self, url: str, queue: str, *, name: str, prefetch: int) -> None:
        self._url, self._queue, self._name, self.prefetch = url, queue, name, prefetch
        self._connection: AbstractConnection | None = None
        self._channel: aiormq.Channel | None = None
        self._tag = ""
        self._arrived: asyncio.Queue[Delivery | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._connection = await connect(self._url, self._name)
        try:
            with speaking(f"consume {self._queue}"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._channel = await open_channel(self._connection, publisher_confirms=False)
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
        with speaking(f"consume {self._queue}"):
            await channel.basic_cancel(self._tag)
            await self._consume()

    async def ack(self, tag: int) -> None:
        """Acknowledge everything up to and including ``tag``. Raises BrokerDown; then all of it is delivered again."""
        with speaking("acknowledge"):
            await self._open_channel().basic_ack(tag, multiple=True, wait=False)

    async def reject(self, tag: int) -> None:
        """Reject one delivery: the broker moves it to the dead letters. Raises BrokerDown; then it is delivered again."""
        with speaking("reject"):
            await self._open_channel().basic_nack(tag, multiple=False, requeue=False, wait=False)

    async def close(self) -> None:
        """Stop consuming. Unacknowledged deliveries go back to the queue."""
        connection, self._connection, self._channel = self._connection, None, None
        await disconnect(connection)
