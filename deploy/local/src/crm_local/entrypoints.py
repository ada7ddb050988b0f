"""Where the services' packages are entered: what each must offer to be run from here.

`crm_<service>.main.run()` serves the api and `crm_<service>.worker.run()` the worker, both until SIGTERM;
`crm_<service>.migrations.run()` brings the database to this release. All three read their settings from the environment
when called, and their modules start no thread, loop or connection when imported: they are imported before the fork.
"""

import threading
from collections.abc import Sequence
from importlib import import_module

from crm_local.suite import Role, Service

_MODULES: dict[Role, str] = {"api": "main", "worker": "worker"}


def preload(services: Sequence[Service]) -> None:
    """Import every service once, for all processes that will be forked from this one."""
    for service in services:
        for module in _MODULES.values():
            import_module(f"{service.package}.{module}")
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(f"importing the services started threads, which no fork survives: {names}")


def serve(service: Service, role: Role) -> None:
    """Run a service in this process until it is told to end."""
    import_module(f"{service.package}.{_MODULES[role]}").run()


def migrate(service: Service) -> None:
    """Bring the database that DATABASE_URL names to what this release needs."""
    import_module(f"{service.package}.migrations").run()
