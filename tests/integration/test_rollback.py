"""A release is rolled back over the next one's migration, and forward again, with data.

A wrong database is detected.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

import crm_sales.migrations
from crm_kit.schema.migrations import migrate
from crm_kit.schema.revisions import head_of
from crm_kit.schema.setup import prepare
from crm_kit.store.database import Database
from crm_kit.testing import Client, People, principal
from crm_kit.testing.databases import Databases, settings_for
from crm_kit.testing.issuer import Issuer
from crm_kit.testing.serving import served
from crm_sales.app import SERVICE
from crm_sales.main import app as make_app

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9001", "{head}"
compatible_from = {compatible_from!r}


def upgrade():
    op.add_column("lead", sa.Column("shoe_size", sa.Integer()))
    op.alter_column("lead", "job_title", type_=sa.Text())
    op.create_table("shoe", sa.Column("id", sa.Uuid(), primary_key=True))
"""

NextRelease = Callable[[str | None], str]


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """A separate database of sales, prepared by this release."""
    url = databases.create("rolled_back")
    yield url
    databases.drop(url)


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NextRelease:
    """Makes the migrations of a release that has one more. Return their package."""

    def make(compatible_from: str | None) -> str:
        package = tmp_path / "next_sales"
        shutil.copytree(Path(crm_sales.migrations.__path__[0]), package / "migrations")
        (package / "__init__.py").touch()
        text = NEXT.format(head=head_of(SERVICE.migrations), compatible_from=compatible_from)
        (package / "migrations" / "versions" / "9001_the_next.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.startswith("next_sales")]:
            monkeypatch.delitem(sys.modules, name)
        head_of.cache_clear()
        return "next_sales.migrations"

    return make


@asynccontextmanager
async def running(url: str, issuer: Issuer, http: aiohttp.ClientSession) -> AsyncIterator[tuple[Client, Client]]:
    """Run this release's API on the database. Yield a client with all rights, and one without any."""
    app = make_app(settings_for(SERVICE, url, issuer.jwks_url))
    async with app.router.lifespan_context(app), served(app) as address:
        await People(app.state.runtime).organization()
        yield Client(http, address, issuer.token(principal())), Client(http, address, None)


async def set_up(url: str, issuer: Issuer) -> None:
    await asyncio.to_thread(prepare, SERVICE, settings_for(SERVICE, url, issuer.jwks_url))


async def test_a_release_goes_back_over_the_next_ones_migration_and_forth_again(
    url: str, next_release: NextRelease, issuer: Issuer, http: aiohttp.ClientSession
) -> None:
    await set_up(url, issuer)
    async with running(url, issuer, http) as (client, _):
        old = (await client.post("/api/v1/leads", {"topic": "Before", "last_name": "One"})).headers["location"]
    package = next_release(None)
    assert await asyncio.to_thread(migrate, package, url, SERVICE.metadata)
    await set_up(url, issuer)
    async with running(url, issuer, http) as (client, nobody):
        ready = await nobody.get("/readyz")
        assert (ready.status, ready.json["reasons"]) == (200, [])
        assert (await client.patch(old, {"topic": "Changed"})).status == 200
        assert (await client.post("/api/v1/leads", {"topic": "Between", "last_name": "Two"})).status == 201
    assert await asyncio.to_thread(migrate, package, url, SERVICE.metadata)
    db = Database(url, pool_size=1, application_name="test")
    async with db.autocommit() as conn:
        leads = (await conn.exec_driver_sql("select topic, shoe_size from lead order by created_at")).all()
    await db.dispose()
    assert [tuple(lead) for lead in leads] == [("Changed", None), ("Between", None)]


async def test_a_release_says_so_when_the_next_one_took_away_what_it_needs(
    url: str, next_release: NextRelease, issuer: Issuer, http: aiohttp.ClientSession
) -> None:
    await set_up(url, issuer)
    assert await asyncio.to_thread(migrate, next_release("9001"), url, SERVICE.metadata)
    with pytest.raises(SystemExit, match="at revision 9001, which builds before revision 9001 cannot use"):
        await set_up(url, issuer)
    async with running(url, issuer, http) as (_, nobody):
        ready = await nobody.get("/readyz")
    assert ready.status == 503
    assert "cannot use" in ready.json["reasons"][0]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("alter table lead drop column rating", "column lead.rating is missing"),
        (
            "alter table lead alter column job_title type varchar(20)",
            "column lead.job_title is character varying(20), not",
        ),
        ("drop index ix_import_job_waiting", "index import_job.ix_import_job_waiting is missing"),
        ("alter table inbox drop constraint pk_inbox cascade", "constraint inbox.pk_inbox is missing"),
    ],
)
async def test_a_database_that_is_not_what_its_revision_says_is_not_ready(
    url: str, harm: str, told: str, issuer: Issuer, http: aiohttp.ClientSession
) -> None:
    await set_up(url, issuer)
    db = Database(url, pool_size=1, application_name="test")
    async with db.begin() as conn:
        await conn.exec_driver_sql(harm)
    await db.dispose()
    async with running(url, issuer, http) as (_, nobody):
        ready = await nobody.get("/readyz")
    assert ready.status == 503
    assert told in ready.json["reasons"][0]
