"""The command `crm demo`."""

import argparse
import asyncio
import os
import secrets
import sys
from random import Random

import aiohttp

from crm_kit.configuration.secret_files import secret
from crm_local.control import NotReady
from crm_local.demo.client import Person, Refused, Trail, unreachable_is_refused
from crm_local.demo.stage import Stage
from crm_local.demo.story import ACTS, Play
from crm_local.state import Home

REQUEST_SECONDS = 30


def main(argv: list[str], home: Home) -> int:
    """Play the demo. Return 0 on success, 1 with the reason otherwise."""
    parser = argparse.ArgumentParser(
        prog="crm demo",
        description="Play the running example through the gateway: a bank sells credit cards. Each run creates new people"
        " and records, and deletes nothing.",
    )
    parser.add_argument(
        "--gateway", help="URL of another suite's gateway; then CRM_ADMIN_EMAIL and …_PASSWORD are needed"
    )
    arguments = parser.parse_args(argv)
    gateway, email, password = _whom(arguments.gateway, home)
    try:
        with unreachable_is_refused(gateway):
            asyncio.run(_play(gateway, email, password))
    except Refused as reason:
        print(f"crm demo: {reason}", file=sys.stderr)
        return 1
    print(f"\nLook around: {gateway}/docs, as {email}. Each run of `./crm demo` uses new people.")
    return 0


def _whom(gateway: str | None, home: Home) -> tuple[str, str, str]:
    """Return URL, administrator and password from the environment, else from the home. Raises NotReady."""
    email, password = os.environ.get("CRM_ADMIN_EMAIL", ""), secret("CRM_ADMIN_PASSWORD")
    if gateway is None:
        state = home.state()
        if state is None or state.phase != "ready":
            raise NotReady(f"no suite runs from {home.path}: start it with ./crm up")
        kept = home.kept()
        return state.gateway_url, email or kept.admin_email, password or kept.admin_password
    if not (email and password):
        raise NotReady("--gateway needs CRM_ADMIN_EMAIL and CRM_ADMIN_PASSWORD")
    return gateway.rstrip("/"), email, password


async def _play(gateway: str, email: str, password: str) -> None:
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(gateway, timeout=timeout) as session:
        trail = Trail()
        administrator = await Person.log_in(session, trail, "Administrator", email, password)
        settings = await administrator.get("/settings/organization")
        run = secrets.token_hex(2)
        play = Play(Stage(ACTS), trail, session, administrator, run, Random(run), settings["base_currency"])
        await play.perform()
