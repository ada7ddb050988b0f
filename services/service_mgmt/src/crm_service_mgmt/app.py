"""What the kit needs to know about the service management service."""

from crm_kit.process.runtime import Service
from crm_service_mgmt.projections.customer_ref import names_of
from crm_service_mgmt.tables import ENTITIES, METADATA

SERVICE = Service(
    name="service",
    title="Service management",
    metadata=METADATA,
    migrations="crm_service_mgmt.migrations",
    entities=ENTITIES,
    name_lookup=names_of,
)
