"""Connections to the broker, and the reasons of failures in words.

The room ``broker`` is the only one that uses AMQP. It uses aiormq, the protocol layer of aio-pika, because aio-pika's robust
objects reconnect without telling the caller. The caller must learn that a connection is lost, because unconfirmed messages are
then *unknown*, and unacknowledged ones will be delivered again.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from typing import Any

import aiormq
from aiormq.abc import AbstractConnection
from aiormq.exceptions import AMQPError, InvalidFrameError, ProbableAuthenticationError

from crm_kit.broker import lenient
from crm_kit.network.amqp_urls import Broker, Brokers
from crm_kit.network.certificates import names_another
from crm_kit.network.urls import BadUrl

lenient.install()
# Our code logs the reason of a failed connection once; the library would log an additional error with less information.
logging.getLogger("aiormq.connection").addFilter(
    lambda record: not record.msg.startswith("error when creating transport")
)


class BrokerDown(Exception):
    """The broker cannot be reached, or the connection to it was lost."""


BrokerRefused = AMQPError
"""The broker refused, because something exists with other arguments or the user lacks a permission."""


@contextmanager
def speaking(what: str, reason: Callable[[BaseException], str] | None = None) -> Iterator[None]:
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


def user_in(url: str) -> str:
    """Return the user of an AMQP URL."""
    return _brokers(url).user


_FIRST: dict[str, int] = {}
"""For each list, the last broker that answered; the next connection starts there."""


async def connect(url: str, name: str) -> AbstractConnection:
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
    with speaking(f"AMQP_URL, {broker}", partial(_unconnected, broker)):
        try:
            context = broker.tls()
        except BadUrl as error:
            raise BrokerDown(f"AMQP_URL, {broker}: {error}") from error
        server: dict[str, Any] = {"server_hostname": broker.server_name} if context and broker.server_name else {}
        async with asyncio.timeout(broker.seconds):
            return await aiormq.connect(broker.url(name), context=context, **server)


async def open_channel(connection: AbstractConnection, *, publisher_confirms: bool) -> aiormq.Channel:
    channel = await connection.channel(publisher_confirms=publisher_confirms, on_return_raises=True)
    assert isinstance(channel, aiormq.Channel)
    return channel


async def disconnect(connection: AbstractConnection | None) -> None:
    """Close with a time limit, because a frozen broker may not answer."""
    if connection is None or connection.is_closed:
        return
    with suppress(BrokerDown), speaking("close"):
        async with asyncio.timeout(1):
            await connection.close()
