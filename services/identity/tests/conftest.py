"""Fixtures for identity: its own key signs the callers' tokens, and a founder can log in with a password."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import orjson
import pytest
from fastapi import FastAPI

from crm_contracts.catalogue import event_for
from crm_contracts.samples import sample
from crm_contracts.types import utc_text
from crm_identity.app import SERVICE
from crm_identity.auth.keys import unseal
from crm_identity.business_unit.model import ROOT_ID
from crm_identity.consumers import CONSUMERS
from crm_identity.main import app as identity_app
from crm_identity.security_role.domain import ADMINISTRATOR_ID
from crm_identity.settings import IdentitySettings
from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.configuration.settings import Settings
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime, Service
from crm_kit.store.record import new_id
from crm_kit.testing import Answer, Client, Issuer
from crm_kit.testing.databases import ServiceDatabase, settings_for
from crm_kit.testing.people import grants
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork, system_principal

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session")
def service() -> Service:
    return SERVICE


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    return identity_app


@pytest.fixture(scope="module")
def settings(service: Service, database: ServiceDatabase) -> Settings:
    """Settings without a URL for keys: identity reads its own keys from its database. No DELETE waits for other services."""
    return settings_for(service, database.url, CRM_PROJECTION_WAIT_SECONDS="0")


@pytest.fixture(scope="module")
async def issuer(database: ServiceDatabase, settings: Settings) -> Issuer:
    """Signs with the key that the seed made."""
    conn = await asyncpg.connect(database.url)
    row = await conn.fetchrow("select kid, sealed from signing_key")
    await conn.close()
    return Issuer("", unseal(row["kid"], row["sealed"], settings.secret.get_secret_value()))


@pytest.fixture
def caller() -> Principal:
    """An administrator in the root unit."""
    return Principal(id=uuid4(), kind="user", unit=ROOT_ID, privileges=grants())


@pytest.fixture(autouse=True)
def limits(runtime: Runtime) -> IdentitySettings:
    """Limits that no test reaches by accident."""
    chosen = IdentitySettings.model_validate({"CRM_TOKENS_PER_ACCOUNT": 100_000, "CRM_TOKENS_PER_ADDRESS": 100_000})
    runtime.extras["identity"] = chosen
    return chosen


@dataclass(frozen=True)
class Login:
    """A user with a password, and the requests to the token endpoint."""

    anybody: Client
    email: str
    password: str = PASSWORD

    async def form(self, path: str = "/api/v1/auth/token", **fields: str) -> Answer:
        """Send a form without credentials in a header."""
        return await self.anybody.request("POST", path, body=aiohttp.FormData(fields))

    async def grant(self, password: str | None = None) -> Answer:
        """The password grant."""
        return await self.form(grant_type="password", username=self.email, password=password or self.password)

    async def refresh(self, token: str) -> Answer:
        """The refresh grant."""
        return await self.form(grant_type="refresh_token", refresh_token=token)

    async def client(self) -> Client:
        """Log in and return a client with the token."""
        answer = await self.grant()
        assert answer.status == 200, answer.body
        return self.anybody.as_token(answer.json["access_token"])


NewUser = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def new_user(client: Client) -> NewUser:
    """Makes a user with a password and the given fields."""

    async def make(**fields: Any) -> dict[str, Any]:
        body = {"email": f"{uuid4().hex}@example.org", "name": "Grace Hopper", "password": PASSWORD, **fields}
        answer = await client.post("/api/v1/users", body)
        assert answer.status == 201, answer.body
        user: dict[str, Any] = answer.json
        return user

    return make


@pytest.fixture
async def founder(new_user: NewUser) -> dict[str, Any]:
    """A user with the administrator role, because one is required."""
    return await new_user(role_ids=[str(ADMINISTRATOR_ID)])


@pytest.fixture
async def login(client: Client, founder: dict[str, Any]) -> Login:
    """The founder's log-in."""
    return Login(client.as_token(None), founder["email"])


@pytest.fixture
def system_uow(runtime: Runtime) -> Callable[[Any], UnitOfWork]:
    """A unit of work like that of the seed, on a given connection."""
    return lambda conn: UnitOfWork(runtime, system_principal("identity"), Cause("a test"), conn=conn)


async def superseded(runtime: Runtime) -> list[tuple[UUID, Any]]:
    """Return (principal, not_before) of every access change so far."""
    async with runtime.db.autocommit() as conn:
        rows = await conn.exec_driver_sql(
            "select (p ->> 'id')::uuid, not_before from access_change, jsonb_array_elements(principals) p order by id"
        )
        found: Sequence[Any] = rows.all()
        return [(row[0], row[1]) for row in found]


OWNING = ("activities", "marketing", "sales", "service")
"""The services that answer to a removal."""

Answers = Callable[..., Awaitable[None]]


@pytest.fixture
def answers(runtime: Runtime) -> Answers:
    """Handle the answers of services to a removal: ``answers(removal, sales=("moving", 5, 3))``.

    The services that are not named count nothing, or do not answer with ``only``.
    """
    bound = {(group.name, source): clock.now() for group, source in CONSUMERS.sources()}
    dispatcher = Dispatcher(CONSUMERS, runtime, bound)

    async def hear(removal: dict[str, Any], *, only: bool = False, **told: tuple[str, int, int]) -> None:
        services = told if only else OWNING
        messages = [_answer(removal, service, *told.get(service, ("counted", 0, 0))) for service in services]
        await dispatcher.settle(messages)
        async with runtime.db.autocommit() as conn:
            left = await conn.exec_driver_sql("select type, last_error from inbox where state in ('pending', 'parked')")
            assert left.all() == []

    return hear


def _answer(removal: dict[str, Any], service: str, status: str, owned: int, moved: int) -> Message:
    event = event_for(f"crm.{service}.{service}_handover.created.v1")
    assert event is not None
    document = sample(event)
    subject = str(new_id())
    document |= {"id": str(new_id()), "subject": subject, "time": utc_text(clock.now()), "entityversion": 1}
    record = {"id": subject, "version": 1, "removal_id": removal["id"], "principal_id": removal["principal_id"]}
    document["data"]["record"] |= {**record, "status": status, "owned": owned, "moved": moved}
    return Message.read(orjson.dumps(document))


@pytest.fixture
def erase(client: Client, answers: Answers) -> Callable[[str], Awaitable[None]]:
    """Delete a user, team or API client that owns no records."""

    async def delete(path: str) -> None:
        begun = await client.delete(path)
        assert begun.status == 202, begun.body
        await answers(begun.json)
        assert (await client.get(path)).status == 404

    return delete
