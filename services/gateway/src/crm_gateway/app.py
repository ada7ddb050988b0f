"""What the kit needs to know about the gateway."""

from crm_gateway.tables import METADATA
from crm_kit.process.runtime import Service

SERVICE = Service(name="gateway", title="Gateway", metadata=METADATA, migrations="crm_gateway.migrations")
