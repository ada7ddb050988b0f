"""The results of a search for servers."""

from collections.abc import Callable
from dataclasses import dataclass

from crm_local.processes import Command


class NoServer(Exception):
    """No PostgreSQL or RabbitMQ is available. The text says what was tried and what would help."""


@dataclass(frozen=True)
class Instance:
    """Our own server, set up on disk and ready to start."""

    command: Command
    url: str
    how: str
    ready: Callable[[], bool]
    finish: Callable[[], None] = lambda: None
    """Work to do once it is ready. It is safe to repeat at every start."""
    management_url: str | None = None
    container: str | None = None
    """The container that the command is attached to, if it is attached to one."""


@dataclass(frozen=True)
class Running:
    """A server that is run by somebody else: an operator, or a Docker engine."""

    url: str
    how: str
    management_url: str | None = None
    containers: tuple[str, ...] = ()
