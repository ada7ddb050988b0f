"""Insights as the kit sees it: it owns no record of its own, so it publishes nothing."""

from crm_insights.tables import METADATA
from crm_kit.process.runtime import Service

SERVICE = Service(
    name="insights", title="Insights", metadata=METADATA, migrations="crm_insights.migrations", reports=True
)
