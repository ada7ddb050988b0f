"""The tables of the gateway: sessions of browsers, and those of the kit for callers and revocations. It has no business data."""

from crm_gateway.db import Base
from crm_kit.tables import add_kit_tables, find_entities

ENTITIES = find_entities("crm_gateway", Base)
METADATA = Base.metadata
add_kit_tables(METADATA, ENTITIES)
