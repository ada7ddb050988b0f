"""All tables of the marketing database, for migrations and tests."""

from crm_kit.tables import add_kit_tables
from crm_marketing.campaign.model import Campaign
from crm_marketing.db import Base
from crm_marketing.handover import MarketingHandover
from crm_marketing.projections.deal import Deal
from crm_marketing.projections.lead_ref import LeadRef

ENTITIES = (Campaign, MarketingHandover)
PROJECTIONS = (Deal, LeadRef)

METADATA = Base.metadata
add_kit_tables(METADATA, numbers=("CMP",))
