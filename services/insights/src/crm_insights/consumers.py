"""What insights listens to: who is who, and everything that figures about selling are made of."""

from crm_contracts.catalogue import happenings
from crm_contracts.sales import LEAD, OPPORTUNITY, SALES_STAGE
from crm_insights.projections.deal import Deal, keep_deals
from crm_insights.projections.lead_ref import LeadRef, keep_leads
from crm_insights.projections.stage_ref import StageRef, keep_stages
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers

CONSUMERS = Consumers("insights")
follow_identity(CONSUMERS, "insights")

CONSUMERS.raw_projection(*happenings(LEAD), group="insights.leads")(keep_leads)
CONSUMERS.projection(*happenings(OPPORTUNITY), group="insights.deals")(keep_deals)
CONSUMERS.projection(*happenings(SALES_STAGE), group="insights.stages")(keep_stages)
CONSUMERS.keeps("insights.leads", LeadRef.__tablename__, LEAD)
CONSUMERS.keeps("insights.deals", Deal.__tablename__, OPPORTUNITY)
CONSUMERS.keeps("insights.stages", StageRef.__tablename__, SALES_STAGE)
