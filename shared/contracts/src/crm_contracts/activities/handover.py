"""Handovers: what activities does for the removal of a user, team or API client."""

from crm_contracts.handovers import handovers_of

HANDOVERS = handovers_of(
    created="crm.activities.activities_handover.created.v1",
    updated="crm.activities.activities_handover.updated.v1",
    snapshot="crm.activities.activities_handover.snapshot.v1",
)
