"""Unneeded imports cost memory in every process."""

import json
import subprocess
import sys

import pytest

_WORKERS = """
from importlib import import_module
from crm_local.suite import SERVICES
for service in SERVICES:
    import_module(f"{service.package}.worker")
"""
_ALL = """
from crm_local import entrypoints
from crm_local.suite import SERVICES
entrypoints.preload(SERVICES)
"""
MIGRATIONS, COLLECTOR, TERMINALS = {"alembic", "mako"}, {"google.protobuf", "opentelemetry.exporter.otlp"}, {"rich"}


@pytest.mark.parametrize(
    ("imported", "needless"),
    [
        pytest.param(_WORKERS, {"fastapi"} | MIGRATIONS | COLLECTOR, id="workers"),
        pytest.param(_ALL, MIGRATIONS | COLLECTOR | TERMINALS, id="what the processes of up are forked from"),
    ],
)
def test_no_process_loads_what_another_needs(
    imported: str, needless: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    script = f"{imported}\nimport json, sys\nprint(json.dumps([name for name, one in sys.modules.items() if one]))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert needless.isdisjoint(json.loads(told.stdout))
