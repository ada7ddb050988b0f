"""All tables of the marketing database, for migrations and tests."""

from crm_kit.tables import add_kit_tables, find_entities
from crm_marketing.db import Base

ENTITIES = find_entities("crm_marketing", Base)
METADATA = Base.metadata
add_kit_tables(METADATA, ENTITIES)
