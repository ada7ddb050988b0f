"""What the kit needs to know about the marketing service."""

from crm_kit.process.runtime import Service
from crm_marketing.tables import ENTITIES, METADATA

SERVICE = Service(
    name="marketing",
    title="Marketing",
    metadata=METADATA,
    migrations="crm_marketing.migrations",
    entities=ENTITIES,
)
