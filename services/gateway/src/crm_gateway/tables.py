"""The gateway's database: no business data, only what the kit keeps to know callers and revocations."""

from crm_kit.store.columns import service_metadata
from crm_kit.tables import add_kit_tables

METADATA = service_metadata()
add_kit_tables(METADATA)
