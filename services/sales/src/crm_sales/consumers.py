"""What sales listens to: who is who and in which team, which cases were resolved, and which campaigns there are. Goals are
made of the first two; leads and deals refer to the last."""

from crm_contracts.catalogue import happenings
from crm_contracts.identity import USER
from crm_contracts.marketing import CAMPAIGN
from crm_contracts.service import CASE
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers
from crm_sales.projections.campaign_ref import CampaignRef, keep_campaigns
from crm_sales.projections.case_ref import CaseRef, keep_cases
from crm_sales.projections.member_ref import MemberRef, keep_members

CONSUMERS = Consumers("sales")
follow_identity(CONSUMERS, "sales")

CONSUMERS.raw_projection(*happenings(USER), group="sales.members")(keep_members)
CONSUMERS.raw_projection(*happenings(CASE), group="sales.cases")(keep_cases)
CONSUMERS.raw_projection(*happenings(CAMPAIGN), group="sales.campaigns")(keep_campaigns)
CONSUMERS.keeps("sales.members", MemberRef.__tablename__, USER)
CONSUMERS.keeps("sales.cases", CaseRef.__tablename__, CASE)
CONSUMERS.keeps("sales.campaigns", CampaignRef.__tablename__, CAMPAIGN)
