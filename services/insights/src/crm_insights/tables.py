"""All tables of the insights database, for migrations and tests."""

from crm_insights.db import Base
from crm_insights.projections.deal import Deal
from crm_insights.projections.lead_ref import LeadRef
from crm_insights.projections.stage_ref import StageRef
from crm_insights.projections.stage_visit import StageVisit
from crm_kit.tables import add_kit_tables

PROJECTIONS = (Deal, LeadRef, StageRef, StageVisit)

METADATA = Base.metadata
add_kit_tables(METADATA)
