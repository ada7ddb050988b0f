"""``crm users``: see users and let them in again, where the suite runs from this home or by what the environment says."""

import os
import subprocess
import sys
from collections.abc import Sequence

from crm_kit.configuration.secret_files import blanked
from crm_local.deployment import Deployment
from crm_local.state import Home
from crm_local.suite import SERVICES


def main(argv: Sequence[str], home: Home) -> int:
    """Run one command on identity's database, also while identity is down; returns its exit code."""
    deployment = Deployment.find(home)
    identity = next(service for service in SERVICES if service.name == "identity")
    told = {
        "CRM_SERVICE": identity.name,
        "CRM_ROLE": "worker",
        "CRM_INSTANCE": deployment.instance,
        "CRM_SECRET": "",  # signs and opens nothing here
        **blanked(),
        "DATABASE_URL": deployment.own_database(identity),
        "DATABASE_DIRECT_URL": "",
    }
    program = [sys.executable, "-m", f"{identity.package}.operate", *argv]
    return subprocess.run(program, env={**os.environ, **told}, check=False).returncode
