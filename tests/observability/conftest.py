"""promtool is part of Debian's package of Prometheus. Without it, its tests are left out."""

import shutil

import pytest

from crm_local.servers import packages

_PROMTOOL = shutil.which("promtool") is not None or packages.can_install()
collect_ignore = [] if _PROMTOOL else ["test_rules.py"]


def pytest_report_header() -> str:
    """Report what is left out, and why."""
    return f"alerts: {'tested' if _PROMTOOL else 'not tested, there is no promtool and no root to install it'}"


@pytest.fixture(scope="session")
def promtool() -> str:
    """The program, which is installed if necessary."""
    if (found := shutil.which("promtool")) is None:
        packages.install(("prometheus",))
        found = shutil.which("promtool")
    assert found is not None
    return found
