"""The tables of the gateway: no business data, only those of the kit for callers and revocations."""

from crm_kit.store.columns import service_metadata
from crm_kit.tables import add_kit_tables

METADATA = service_metadata()
add_kit_tables(METADATA)
