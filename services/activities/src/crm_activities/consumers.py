"""What activities listens to: who is who, and everything that happens to anything. Four handler groups."""

from crm_activities.follow_up.commands import follow_up
from crm_activities.projections.link import keep_links
from crm_activities.projections.names import NAMELESS
from crm_activities.projections.record_ref import keep_refs
from crm_activities.projections.timeline_event import keep_timeline
from crm_contracts.catalogue import all_events, events_about
from crm_contracts.sales import LEAD, OpportunityWon
from crm_contracts.service import CaseResolved
from crm_kit.consumers import Consumers
from crm_kit.directory_feed import follow_identity

CONSUMERS = Consumers("activities")
follow_identity(CONSUMERS, "activities")

# A snapshot tells a state and no event: it reaches the copies through their handlers of ``.updated``.
HAPPENINGS = tuple(
    event for event in all_events() if event.entity.name not in NAMELESS and ".snapshot.v" not in event.type
)

CONSUMERS.raw_projection(*HAPPENINGS, group="activities.refs")(keep_refs)
CONSUMERS.raw_projection(*(e for e in events_about(LEAD) if e in HAPPENINGS), group="activities.refs")(keep_links)
CONSUMERS.raw_projection(*HAPPENINGS, group="activities.timeline", each_event=True)(keep_timeline)
CONSUMERS.step(OpportunityWon, CaseResolved, group="activities.follow_up")(follow_up)
