"""Sales as the kit sees it."""

from crm_kit.runtime import Service, local_names
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.seed import seed
from crm_sales.tables import ENTITIES, METADATA

SERVICE = Service(
    name="sales",
    title="Sales",
    metadata=METADATA,
    migrations="crm_sales.migrations",
    entities=ENTITIES,
    seed=seed,
    name_lookup=local_names({"account": (Account, "name"), "contact": (Contact, "full_name")}),
)
