"""Where the services' packages are entered: what each must offer to be run from here.

`crm_<service>.main.run()` serves the api and `crm_<service>.worker.run()` the worker, both until SIGTERM, and from `app` and
`WORK` of the same modules comes one process that does both;
`crm_<service>.setup.run()` migrates and seeds the database; `crm_<service>.consumers.CONSUMERS` says what it listens to.
All read their settings from the environment when called, and start no thread, loop or connection when imported: they are
imported before the fork.
"""

import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from crm_local.suite import Role, Service

if TYPE_CHECKING:
    from crm_kit.events.consumers import Consumers
    from crm_kit.process.runtime import Service as Definition

_MODULES = ("main", "worker")


def preload(services: Sequence[Service]) -> None:
    """Import every service once, for all processes that will be forked from this one."""
    for service in services:
        for module in (*_MODULES, "consumers"):
            import_module(f"{service.package}.{module}")
    # Every process would otherwise configure all mapped classes for itself: 8 MiB each, and a good part of its start.
    # Imported here only, for the commands that fork nothing.
    import_module("sqlalchemy.orm").configure_mappers()
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(f"importing the services started threads, which no fork survives: {names}")


def serve(service: Service, role: Role) -> None:
    """Run a service in this process until it is told to end, with the exit code it returns."""
    main, worker = (import_module(f"{service.package}.{module}") for module in _MODULES)
    if role == "all":
        sys.exit(import_module("crm_kit.worker.combined").run_combined(main.app, worker.WORK))
    sys.exit((main if role == "api" else worker).run())


def set_up(service: Service) -> None:
    """Bring the database that DATABASE_URL names to what this release needs, and seed it."""
    import_module(f"{service.package}.setup").run()


def routing_keys(service: Service) -> tuple[str, ...]:
    """What the service's queue is bound to."""
    return consumers(service).routing_keys()


def consumers(service: Service) -> "Consumers":
    """What the service listens to."""
    found: Consumers = import_module(f"{service.package}.consumers").CONSUMERS
    return found


def definition(service: Service) -> "Definition":
    """What the service tells the kit about itself."""
    found: Definition = import_module(f"{service.package}.app").SERVICE
    return found


def newest_revision(service: Service) -> str:
    """The newest revision of the service's database that this release knows."""
    revision: str = import_module("crm_kit.schema.migrations").head_of(definition(service).migrations)
    return revision


async def end_sessions(database_url: str) -> int:
    """Log everybody out, in identity's database; returns how many sessions ended."""
    ended: int = await import_module("crm_identity.restored").end_sessions(database_url)
    return ended
