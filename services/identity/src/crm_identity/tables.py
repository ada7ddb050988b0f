"""All tables of the identity database, for migrations and tests."""

from crm_identity.db import Base
from crm_kit.tables import add_kit_tables, find_entities

ENTITIES = find_entities("crm_identity", Base)
METADATA = Base.metadata
add_kit_tables(METADATA, ENTITIES)
