"""All tables of the sales database, for migrations and tests."""

from crm_kit.tables import add_kit_tables, find_entities
from crm_sales.db import Base
from crm_sales.invoice.numbering import InvoiceCounter

ENTITIES = find_entities("crm_sales", Base)
OTHERS = (InvoiceCounter,)
"""Tables in modules that ``find_entities`` does not look into."""

METADATA = Base.metadata
add_kit_tables(METADATA, ENTITIES)
