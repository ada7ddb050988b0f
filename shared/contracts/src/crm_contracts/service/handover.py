"""Handovers: what service management does for the removal of a user, team or API client."""

from crm_contracts.handovers import handovers_of

HANDOVERS = handovers_of(
    created="crm.service.service_handover.created.v1",
    updated="crm.service.service_handover.updated.v1",
    snapshot="crm.service.service_handover.snapshot.v1",
)
