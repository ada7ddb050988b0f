"""The entry points that each service's package must provide.

`crm_<service>.main.run()` serves the api and `crm_<service>.worker.run()` runs the worker, both until SIGTERM. `app` and
`WORK` of the same modules make one process that does both, and what can be made of any process before it is forked;
`crm_<service>.setup.run()` migrates and seeds the database; `crm_<service>.consumers.CONSUMERS` declares its consumers.
All read their settings from the environment when called, and start no thread, loop or connection when imported: they are
imported before the fork.
"""

import os
import ssl
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from crm_local.suite import Role, Service

if TYPE_CHECKING:
    from crm_kit.events.consumers import Consumers
    from crm_kit.process.runtime import Service as Definition

_MODULES = ("main", "worker")


def preload(services: Sequence[Service]) -> None:
    """Import every service once, for all processes that will be forked from this one."""
    # A library loads this tool for terminals if it is installed: 9 MiB, and our output has no colours.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # the import system's own way to say: there is none
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        import_module("crm_kit.signals.collector")
    for service in services:
        for module in (*_MODULES, "consumers"):
            import_module(f"{service.package}.{module}")
    # Otherwise every process would configure all mapped classes itself: 8 MiB each, and a large part of its start.
    # Imported here, because commands that do not fork do not need it.
    import_module("sqlalchemy.orm").configure_mappers()
    # OpenSSL makes its tables at its first use: 1 MiB each.
    ssl.create_default_context()
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(f"importing the services started threads, which no fork survives: {names}")


def serve(service: Service, role: Role) -> None:
    """Run a service in this process until SIGTERM; returns its exit code."""
    main, worker = (import_module(f"{service.package}.{module}") for module in _MODULES)
    if role == "all":
        sys.exit(import_module("crm_kit.worker.combined").run_combined(main.app, worker.WORK))
    sys.exit((main if role == "api" else worker).run())


def prepare(service: Service, role: Role, told: Mapping[str, str]) -> Callable[[], None]:
    """What a fork runs as this process, with as much of it as possible made here; ``told`` is its environment."""
    main, worker = (import_module(f"{service.package}.{module}") for module in _MODULES)
    if not hasattr(main, "app") or not hasattr(worker, "WORK"):
        return partial(serve, service, role)
    before = dict(os.environ)
    os.environ.update(told)
    try:
        run: Callable[[], None] = import_module("crm_kit.worker.prepared").prepare(main.app, worker.WORK).run
    except (Exception, SystemExit):  # noqa: BLE001  # the fork meets the same error, and its own log tells it
        return partial(serve, service, role)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return run


def set_up(service: Service) -> None:
    """Migrate the database of DATABASE_URL to this release, and seed it."""
    import_module(f"{service.package}.setup").run()


def routing_keys(service: Service) -> tuple[str, ...]:
    """The bindings of the service's queue."""
    return consumers(service).routing_keys()


def consumers(service: Service) -> "Consumers":
    """The consumers of the service."""
    found: Consumers = import_module(f"{service.package}.consumers").CONSUMERS
    return found


def definition(service: Service) -> "Definition":
    """The kit's definition of the service."""
    found: Definition = import_module(f"{service.package}.app").SERVICE
    return found


def newest_revision(service: Service) -> str:
    """The newest revision of the service's database in this release."""
    revision: str = import_module("crm_kit.schema.revisions").head_of(definition(service).migrations)
    return revision


async def end_sessions(database_url: str) -> int:
    """Log everybody out, in identity's database; returns how many sessions ended."""
    ended: int = await import_module("crm_identity.restored").end_sessions(database_url)
    return ended
