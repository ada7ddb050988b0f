"""All tables of the activities database, for migrations and tests."""

from crm_activities.db import Base
from crm_kit.tables import add_kit_tables, find_entities

ENTITIES = find_entities("crm_activities", Base)
METADATA = Base.metadata
add_kit_tables(METADATA, ENTITIES)
