"""What the kit needs to know about the activities service."""

from crm_activities.projections.record_ref import names_of
from crm_activities.seed import seed
from crm_activities.tables import ENTITIES, METADATA
from crm_kit.process.runtime import Service

SERVICE = Service(
    name="activities",
    title="Activities",
    metadata=METADATA,
    migrations="crm_activities.migrations",
    entities=ENTITIES,
    seed=seed,
    name_lookup=names_of,
)
