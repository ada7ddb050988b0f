"""The events that sales consumes: users, teams, cases and campaigns.

Goals count by users, teams and cases. Leads and deals refer to campaigns.
"""

from crm_contracts.identity import USER
from crm_contracts.marketing import CAMPAIGN
from crm_contracts.service.case import CASE
from crm_kit.copies.declaring import keep_copy
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers
from crm_kit.records.handing_over import REMOVALS
from crm_sales.handover import HANDOVER
from crm_sales.projections.campaign_ref import CampaignRef, campaign_told
from crm_sales.projections.case_ref import CASES, CaseRef
from crm_sales.projections.member_ref import MEMBERS, MemberRef

CONSUMERS = Consumers("sales")
follow_identity(CONSUMERS, "sales")

keep_copy(CONSUMERS, "sales.members", MemberRef, USER, facts=MEMBERS)
keep_copy(CONSUMERS, "sales.cases", CaseRef, CASE, facts=CASES)
keep_copy(CONSUMERS, "sales.campaigns", CampaignRef, CAMPAIGN, facts=campaign_told)
CONSUMERS.step(*REMOVALS, group="sales.handovers")(HANDOVER.hear)
