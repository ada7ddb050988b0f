"""``crm users``: list users and restore their access, in the suite of this home or that of the environment."""

import os
import subprocess
import sys
from collections.abc import Sequence

from crm_kit.configuration.secret_files import blanked
from crm_local.deployment import Deployment
from crm_local.state import Home
from crm_local.suite import SERVICES


def main(argv: Sequence[str], home: Home) -> int:
    """Run one command on identity's database, even if identity does not run. Return its exit code."""
    deployment = Deployment.find(home)
    identity = next(service for service in SERVICES if service.name == "identity")
    told = {
        "CRM_SERVICE": identity.name,
        "CRM_ROLE": "worker",
        "CRM_INSTANCE": deployment.instance,
        "CRM_SECRET": "",  # This process signs and decrypts nothing.
        **blanked(),
        "DATABASE_URL": deployment.own_database(identity),
        "DATABASE_DIRECT_URL": "",
    }
    program = [sys.executable, "-m", f"{identity.package}.operate", *argv]
    return subprocess.run(program, env={**os.environ, **told}, check=False).returncode
