"""What the kit needs to know about the identity service."""

from crm_identity.seed import seed
from crm_identity.tables import ENTITIES, METADATA
from crm_kit.process.runtime import Service

SERVICE = Service(
    name="identity",
    title="Identity",
    metadata=METADATA,
    migrations="crm_identity.migrations",
    entities=ENTITIES,
    seed=seed,
)
