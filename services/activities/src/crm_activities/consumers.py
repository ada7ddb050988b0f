"""The events that activities consumes: those of identity, and those of all records. Six handler groups."""

from crm_activities.attachment.erasing import begin_erasing
from crm_activities.calendar_feed.commands import end_links_of_left_teams
from crm_activities.handover import HANDOVER
from crm_activities.merging import move_activities
from crm_activities.projections.link import forget_links, keep_links
from crm_activities.projections.record_ref import RecordRef
from crm_activities.projections.timeline_event import TimelineEvent, keep_timeline
from crm_activities.rule.before import follow_up
from crm_activities.rule.planning import FORMER_GROUP, plan_activities
from crm_contracts.catalogue import all_entities, events_about, happenings
from crm_contracts.identity import UserUpdated
from crm_contracts.sales.account import ACCOUNT, AccountMerged
from crm_contracts.sales.contact import CONTACT, ContactMerged
from crm_contracts.sales.lead import LEAD, LeadMerged
from crm_contracts.sales.opportunity import OPPORTUNITY, OpportunityMerged, OpportunityWon
from crm_contracts.service.case import CaseResolved
from crm_kit.copies.declaring import keep_copy
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.copies.referring import record_told
from crm_kit.events.consumers import Consumers
from crm_kit.records.handing_over import REMOVALS

CONSUMERS = Consumers("activities")
follow_identity(CONSUMERS, "activities")

FOLLOWED = tuple(entity for entity in all_entities() if not (entity.announcement or entity.setting))
DELETIONS = tuple(event for entity in FOLLOWED for event in events_about(entity) if ".deleted.v" in event.type)
HAPPENINGS = tuple(event for entity in FOLLOWED for event in happenings(entity))

keep_copy(CONSUMERS, "activities.refs", RecordRef, *FOLLOWED, facts=record_told, kind="type")
LINKING = (event for entity in (LEAD, ACCOUNT, CONTACT, OPPORTUNITY) for event in happenings(entity))
CONSUMERS.raw_projection(*LINKING, group="activities.refs")(keep_links)
CONSUMERS.raw_projection(*HAPPENINGS, group="activities.timeline", each_event=True)(keep_timeline)
# Most events are for no rule. In this group, they cost a rule neither a row nor a position.
CONSUMERS.raw_projection(*HAPPENINGS, group="activities.timeline", each_event=True)(plan_activities)
CONSUMERS.step(OpportunityWon, CaseResolved, group=FORMER_GROUP)(follow_up)
CONSUMERS.keeps_events("activities.timeline", TimelineEvent.__tablename__)
CONSUMERS.forgets("activities.refs")(forget_links)
# A merged record has no further events.
MERGES = (LeadMerged, AccountMerged, ContactMerged, OpportunityMerged)
CONSUMERS.step(*MERGES, group="activities.merges", any_order=True)(move_activities)
CONSUMERS.step(*DELETIONS, group="activities.files", any_order=True)(begin_erasing)
CONSUMERS.step(*REMOVALS, group="activities.handovers")(HANDOVER.hear)
CONSUMERS.step(UserUpdated, group="activities.handovers")(end_links_of_left_teams)
