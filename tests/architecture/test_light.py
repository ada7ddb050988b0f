"""What an idle process holds: libraries for single jobs are imported when a job needs them."""

import subprocess
import sys
from pathlib import Path

import pytest

SERVICES = sorted(path.name for path in (Path(__file__).parents[2] / "services").iterdir() if path.is_dir())
OF_SINGLE_JOBS = {
    "aioimaplib",
    "aiosmtpd",
    "aiosmtplib",
    "calamine",
    "dateutil",
    "icalendar",
    "obstore",
    "puremagic",
    "python_calamine",
    "reportlab",
    "tnefparse",
    "zxcvbn",
}
"""Libraries of a megabyte and more that most processes never need."""
PROGRAM = """
import sys
from importlib import import_module
from crm_kit.configuration.settings import Settings
for part in ("main", "worker"):
    import_module(f"crm_{sys.argv[1]}.{part}")
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("service", SERVICES)
def test_an_idle_process_holds_no_library_of_a_single_job(service: str) -> None:
    command = [sys.executable, "-c", PROGRAM, service]
    held = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout.split()
    assert "fastapi" in held
    assert sorted(OF_SINGLE_JOBS & set(held)) == []
