"""A removed role takes effect within two seconds: through outbox, relay, broker and inbox, in a separate worker
process."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from crm_identity.consumers import CONSUMERS
from crm_identity.security_role.domain import AUDITOR_ID
from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, Rabbit

from .conftest import Login, NewUser


@asynccontextmanager
async def worker(settings: Settings, rabbit: Rabbit) -> AsyncIterator[Process]:
    await rabbit.declare({"identity": CONSUMERS.routing_keys()})
    environment = {
        "PATH": os.environ["PATH"],
        "CRM_SERVICE": "identity",
        "CRM_ROLE": "worker",
        "CRM_PORT": "0",
        "CRM_SECRET": settings.secret.get_secret_value(),
        "DATABASE_URL": settings.database_url,
        "AMQP_URL": rabbit.amqp_url,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from crm_identity.worker import run; run()", env=environment, stdout=DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        assert await process.wait() == 0


async def until(condition: Any, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # nothing signals what another process committed
            await asyncio.sleep(0.02)


async def test_a_removed_role_is_gone(
    runtime: Runtime, settings: Settings, rabbit: Rabbit, client: Client, login: Login, new_user: NewUser
) -> None:
    user = await new_user(role_ids=[str(AUDITOR_ID)])
    theirs = Login(login.anybody, user["email"])
    async with worker(settings, rabbit):

        async def is_known() -> bool:
            async with runtime.db.autocommit() as conn:
                await runtime.directory.learn(conn, [UUID(user["id"])])
            return runtime.directory.named(UUID(user["id"])) is not None

        await until(is_known, 120)
        for removal in ("role", "disable"):
            reader = await theirs.client()
            assert (await reader.get("/api/v1/users")).status == 200
            if removal == "role":
                done = await client.patch(f"/api/v1/users/{user['id']}", {"role_ids": []})
            else:
                done = await client.post(f"/api/v1/users/{user['id']}/disable")
            assert done.status == 200

            async def is_refused(reader: Client = reader) -> bool:
                return (await reader.get("/api/v1/auth/me")).status == 401

            await until(is_refused, 120)
            assert (await reader.get("/api/v1/auth/me")).problem == "token-superseded"
            if removal == "role":
                again = await theirs.client()
                assert (await again.get("/api/v1/users")).status == 403
                await client.patch(f"/api/v1/users/{user['id']}", {"role_ids": [str(AUDITOR_ID)]})
        assert (await theirs.grant()).status == 400
