"""What marketing listens to: who is who, and what became of the leads and deals of its campaigns."""

from crm_contracts.catalogue import happenings
from crm_contracts.sales import LEAD, OPPORTUNITY
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers
from crm_marketing.projections.deal import Deal, keep_deals
from crm_marketing.projections.lead_ref import LeadRef, keep_leads

CONSUMERS = Consumers("marketing")
follow_identity(CONSUMERS, "marketing")

CONSUMERS.raw_projection(*happenings(LEAD), group="marketing.leads")(keep_leads)
CONSUMERS.projection(*happenings(OPPORTUNITY), group="marketing.deals")(keep_deals)
CONSUMERS.keeps("marketing.leads", LeadRef.__tablename__, LEAD)
CONSUMERS.keeps("marketing.deals", Deal.__tablename__, OPPORTUNITY)
