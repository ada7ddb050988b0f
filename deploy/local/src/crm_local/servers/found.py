"""What a search for servers ends with."""

from collections.abc import Callable
from dataclasses import dataclass

from crm_local.processes import Command


class NoServer(Exception):
    """No PostgreSQL or RabbitMQ can be had here; the text says what was tried and what would help."""


@dataclass(frozen=True)
class Instance:
    """A server of our own, set up on disk and ready to be started."""

    command: Command
    url: str
    how: str
    ready: Callable[[], bool]
    finish: Callable[[], None] = lambda: None
    """What is still to do once it is ready; safe to repeat at every start."""
    management_url: str | None = None
    container: str | None = None
    """What holds it, where the command is only attached to it."""


@dataclass(frozen=True)
class Running:
    """A server that somebody else keeps running: an operator, or a Docker engine."""

    url: str
    how: str
    management_url: str | None = None
    containers: tuple[str, ...] = ()
