"""``crm keys``: the keys that sign access tokens, in the suite of the home or of the environment."""

import argparse
import os
import subprocess
import sys

from crm_kit.configuration.secret_files import blanked, secret
from crm_local.deployment import Deployment
from crm_local.state import Home
from crm_local.suite import SERVICES, Suite


def main(argv: list[str], home: Home) -> int:
    """Run one command. Return its exit code. Raises ``NotReady`` if no suite runs from this home, and ``ValueError`` if the
    environment describes one without its CRM_SECRET."""
    parser = argparse.ArgumentParser(prog="crm keys", description="The keys that sign access tokens.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("rotate", help="add a new signing key; nobody is logged out and no request fails")
    parser.parse_args(argv)
    deployment = Deployment.find(home)
    identity = next(service for service in SERVICES if service.name == "identity")
    told = {
        "CRM_SERVICE": identity.name,
        "CRM_ROLE": "worker",
        "CRM_INSTANCE": deployment.instance,
        "CRM_SECRET": _secret(home),
        **blanked(),
        "DATABASE_URL": deployment.own_database(identity),
        "DATABASE_DIRECT_URL": "",
    }
    rotate = [sys.executable, "-m", f"{identity.package}.rotate"]
    return subprocess.run(rotate, env={**os.environ, **told}, check=False).returncode


def _secret(home: Home) -> str:
    """Return the secret with which identity seals its keys."""
    if not secret("CRM_SERVICE_PASSWORDS"):
        return Suite(home.kept()).kept.secret
    if found := secret("CRM_SECRET"):
        return found
    raise ValueError("not set: CRM_SECRET, identity's own, which seals its signing keys")
