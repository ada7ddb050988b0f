"""The events that marketing consumes: those of identity, and those of leads and deals."""

from crm_contracts.sales.lead import LEAD
from crm_contracts.sales.opportunity import OPPORTUNITY
from crm_kit.copies.declaring import keep_copy
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers
from crm_kit.records.handing_over import REMOVALS
from crm_marketing.handover import HANDOVER
from crm_marketing.projections.deal import Deal, deal_told
from crm_marketing.projections.lead_ref import LeadRef, lead_told

CONSUMERS = Consumers("marketing")
follow_identity(CONSUMERS, "marketing")

# Imports create tens of thousands of leads.
keep_copy(CONSUMERS, "marketing.leads", LeadRef, LEAD, facts=lead_told)
keep_copy(CONSUMERS, "marketing.deals", Deal, OPPORTUNITY, facts=deal_told)
CONSUMERS.step(*REMOVALS, group="marketing.handovers")(HANDOVER.hear)
