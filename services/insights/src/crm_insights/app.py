"""What the kit needs to know about the insights service. It has no records of its own, so it publishes no events."""

from crm_insights.tables import METADATA
from crm_kit.process.runtime import Service

SERVICE = Service(
    name="insights", title="Insights", metadata=METADATA, migrations="crm_insights.migrations", reports=True
)
