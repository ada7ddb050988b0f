"""All tables of the insights database, for migrations and tests."""

from crm_insights.db import Base
from crm_kit.tables import add_kit_tables, find_entities

ENTITIES = find_entities("crm_insights", Base)
METADATA = Base.metadata
add_kit_tables(METADATA, ENTITIES)
