"""``crm keys``: the keys that sign access tokens, while the suite runs."""

import argparse
import os
import subprocess
import sys

from crm_local import control
from crm_local.deployment import Deployment
from crm_local.state import Home
from crm_local.suite import Suite


def main(argv: list[str], home: Home) -> int:
    """Run one command. Return its exit code. Raises ``NotReady`` if no suite runs from this home."""
    parser = argparse.ArgumentParser(prog="crm keys", description="The keys that sign access tokens.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("rotate", help="add a new signing key; nobody is logged out and no request fails")
    parser.parse_args(argv)
    if home.state() is None:
        raise control.NotReady(f"no suite runs from {home.path}")
    suite, deployment = Suite(home.kept()), Deployment.find(home)
    identity = next(service for service in suite.services if service.name == "identity")
    told = suite.environment(identity, "worker", deployment.own_database(identity), deployment.own_broker(identity))
    rotate = [sys.executable, "-m", f"{identity.package}.rotate"]
    return subprocess.run(rotate, env={**os.environ, **told}, check=False).returncode
