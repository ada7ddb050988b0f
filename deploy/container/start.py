"""The entry point of a service's image: `api` and `worker` run until SIGTERM, `setup` migrates and seeds the database.

`ready` is the health check: exit code 0 if the process of this container is ready. `wait` ends when `setup` has
prepared the database, for orchestrators that start everything at once. Any other word is a program of the service, such
as `rotate` of identity.
"""

import http.client
import os
import runpy
import sys
from importlib import import_module
from importlib.util import find_spec

_MODULES = {"api": "main", "worker": "worker", "setup": "setup"}


def main(command: str) -> int:
    """Run the requested program in this process. Return the exit code."""
    if command == "ready":
        return 0 if _is_ready() else 1
    package = os.environ["CRM_PACKAGE"]
    module = f"{package}.{_MODULES.get(command, command)}"
    if command != "wait" and (not command or find_spec(module) is None):
        print(f"{package} has no {command!r}; there is: {', '.join(_MODULES)}, ready, wait", file=sys.stderr)  # noqa: T201  # the answer to who started it
        return 2
    # Settings that must be the same everywhere are set here.
    os.environ["CRM_SERVICE"] = import_module(f"{package}.app").SERVICE.name
    os.environ["CRM_ROLE"] = "api" if command == "api" else "worker"
    if command == "wait":
        import_module("crm_kit.schema.setup").wait_until_prepared(import_module(f"{package}.app").SERVICE)
        return 0
    if command not in _MODULES:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    result: int | None = import_module(module).run()
    return result or 0


def _is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["CRM_PORT"]), timeout=4)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}", file=sys.stderr)  # noqa: T201 - `docker inspect` shows it
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
