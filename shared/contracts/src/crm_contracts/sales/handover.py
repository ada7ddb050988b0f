"""Handovers: what sales does for the removal of a user, team or API client."""

from crm_contracts.handovers import handovers_of

HANDOVERS = handovers_of(
    created="crm.sales.sales_handover.created.v1",
    updated="crm.sales.sales_handover.updated.v1",
    snapshot="crm.sales.sales_handover.snapshot.v1",
)
