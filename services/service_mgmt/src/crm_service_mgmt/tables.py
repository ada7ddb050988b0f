"""All tables of the service database, for migrations and tests."""

from crm_kit.tables import add_kit_tables, find_entities
from crm_service_mgmt.db import Base

ENTITIES = find_entities("crm_service_mgmt", Base)
METADATA = Base.metadata
add_kit_tables(METADATA, ENTITIES)
