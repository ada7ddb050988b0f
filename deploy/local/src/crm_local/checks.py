"""`crm test`: all checks before a change is shared."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from crm_kit.clock import monotonic
from crm_local.servers import NoServer, packages
from crm_local.state import CHECKOUT

_BIN = Path(sys.executable).parent

# Two cores run the tests and their servers. The tests of a file stay together, because they share databases. The files keep
# the order that conftest.py gives them. The order of xdist puts files with few tests last, and some of them take longest.
_PYTEST = (
    *(sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"),
    *("-m", "not large", "--durations", "10"),
)

_STEPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "lint": ((str(_BIN / "ruff"), "check", ".", "crm"), (str(_BIN / "ruff"), "format", "--check", ".", "crm")),
    "types": ((str(_BIN / "mypy"), "shared", "services", "deploy/local", "tests", "bench", "conftest.py", "crm"),),
    "architecture": ((str(_BIN / "lint-imports"),),),
    "contracts": ((sys.executable, "-m", "crm_local", "contracts", "check"),),
    "tests": (_PYTEST,),
}
NAMES = tuple(_STEPS)


def run(names: list[str], pytest_arguments: list[str]) -> int:
    """Run the named steps, all of them even if one fails; the tests run last. Returns 1 if any failed."""
    if "tests" in names:
        _get("pgbouncer", packages.PGBOUNCER)
        _get("dovecot", packages.DOVECOT)
    failed = [name for name in NAMES if name in names and not _passes(name, pytest_arguments)]
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def _get(program: str, debian: tuple[str, ...]) -> None:
    """Provide a server for its tests. Without PgBouncer they are left out, and the report says so. Without Dovecot they fail."""
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or not packages.can_install():
        return
    try:
        packages.install(debian)
    except NoServer as reason:
        print(reason, flush=True)


def _passes(name: str, pytest_arguments: list[str]) -> bool:
    began = monotonic()
    passed = True
    for command in _STEPS[name]:
        print(
            f"--- {name}: {' '.join(Path(part).name if part.startswith('/') else part for part in command)}", flush=True
        )
        extra = pytest_arguments if command is _PYTEST else []
        done = subprocess.run([*command, *extra], cwd=CHECKOUT, env=_environment(), check=False)
        passed = passed and done.returncode == 0
    print(f"--- {name}: {'passed' if passed else 'FAILED'} after {monotonic() - began:.0f} s", flush=True)
    return passed


def _environment() -> dict[str, str]:
    # Tests do not use the settings of a running suite; they use servers that are given by URL.
    return {key: value for key, value in os.environ.items() if not key.startswith("CRM_")}
