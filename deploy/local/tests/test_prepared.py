"""What processes consist of is made once, before the forks, because a fork pays for every page that it writes to."""

import json
import subprocess
import sys

_PREPARE = """
import json, os, threading
from functools import partial
from crm_local import entrypoints
from crm_local.suite import SERVICES

entrypoints.preload(SERVICES)
told = {
    "CRM_INSTANCE": "test",
    "CRM_SECRET": "x" * 64,
    "DATABASE_URL": "postgresql://nobody:secret@localhost:1/nothing",
    "AMQP_URL": "amqp://nobody:secret@localhost:1/nothing",
}
before, found = dict(os.environ), {}
for service in SERVICES:
    for role in ("api", "worker", "all"):
        run = entrypoints.prepare(service, role, told | {"CRM_SERVICE": service.name, "CRM_ROLE": role})
        assert not isinstance(run, partial), f"{service.name} {role}"
        made = run.__self__
        assert made.settings.service == made.runtime.settings.service == service.name
        found[f"{service.name} {role}"] = [
            made.app is not None and made.app.middleware_stack is not None and made.app.state.prepared is made.runtime,
            made.config is not None and made.config.loaded,
            (made.runtime.work or made.runtime).access is not None,
            made.runtime.work is not None,
        ]
wrong = entrypoints.prepare(SERVICES[0], "api", {"CRM_SERVICE": "identity", "DATABASE_URL": "nonsense"})
assert isinstance(wrong, partial), "the fork tells what is wrong"
assert dict(os.environ) == before
assert threading.active_count() == 1
print(json.dumps(found))
"""


_WRONG = """
import os
from crm_local import entrypoints
from crm_local.suite import SERVICES

[identity] = [service for service in SERVICES if service.name == "identity"]
told = {
    "CRM_SERVICE": "identity",
    "CRM_ROLE": "worker",
    "CRM_SECRET": "x" * 64,
    "DATABASE_URL": "postgresql://nobody:secret@localhost:1/nothing",
    "AMQP_URL": "amqp://nobody:secret@localhost:1/nothing",
    "CRM_SESSION_DAYS": "0",
}
run = entrypoints.prepare(identity, "worker", told)
os.environ.update(told)
run()
"""


def test_a_prepared_worker_of_identity_ends_with_settings_that_it_cannot_use() -> None:
    told = subprocess.run([sys.executable, "-c", _WRONG], capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode != 0
    assert "CRM_SESSION_DAYS" in told.stderr
    assert "Traceback" not in told.stderr


def test_every_process_is_prepared_without_a_trace_in_its_parent() -> None:
    told = subprocess.run([sys.executable, "-c", _PREPARE], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert len(found) == 21
    for name, (app, config, access, work) in found.items():
        role = name.rpartition(" ")[2]
        assert (app, config) == (role != "worker", role != "worker"), name
        assert (access, work) == (role != "api", role == "all"), name
