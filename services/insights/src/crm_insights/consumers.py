"""The events that insights consumes: those of identity, and those of the records behind the sales figures."""

from crm_contracts.catalogue import happenings
from crm_contracts.sales.lead import LEAD
from crm_contracts.sales.opportunity import OPPORTUNITY
from crm_contracts.sales.reference import SALES_STAGE
from crm_insights.projections.deal import Deal, keep_deals
from crm_insights.projections.lead_ref import LeadRef, lead_told
from crm_insights.projections.stage_ref import STAGES, StageRef
from crm_kit.copies.declaring import keep_copy
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers

CONSUMERS = Consumers("insights")
follow_identity(CONSUMERS, "insights")

# Imports create tens of thousands of leads.
keep_copy(CONSUMERS, "insights.leads", LeadRef, LEAD, facts=lead_told)
CONSUMERS.projection(*happenings(OPPORTUNITY), group="insights.deals")(keep_deals)
keep_copy(CONSUMERS, "insights.stages", StageRef, SALES_STAGE, facts=STAGES)
CONSUMERS.keeps("insights.deals", Deal.__tablename__, OPPORTUNITY)
