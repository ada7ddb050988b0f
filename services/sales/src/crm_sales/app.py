"""What the kit needs to know about the sales service."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.process.runtime import Service, local_names, principal_names
from crm_kit.store.presenter import ReferenceName
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.seed import seed
from crm_sales.tables import ENTITIES, METADATA

CUSTOMERS = local_names({"account": (Account, "name"), "contact": (Contact, "full_name")})


async def names(conn: AsyncConnection, wanted: set[tuple[str, UUID]]) -> Mapping[UUID, ReferenceName]:
    """Name lookups: customers of deals, and owners of goals (users and teams), in one statement."""
    return {**await CUSTOMERS(conn, wanted), **await principal_names(conn, wanted)}


SERVICE = Service(
    name="sales",
    title="Sales",
    metadata=METADATA,
    migrations="crm_sales.migrations",
    entities=ENTITIES,
    seed=seed,
    name_lookup=names,
)
