"""What `crm topology subscribe` says of patterns."""

import pytest

from crm_local.topology import unheard


@pytest.mark.parametrize(
    "pattern",
    [
        "#",
        "crm.#",
        "crm.sales.account.#",
        "crm.*.*.deleted.v1",
        "#.won.v1",
        "crm.sales.opportunity.won.#",
        "crm.#.v1",
        "crm.sales.lead.snapshot.v1",
    ],
)
def test_a_pattern_of_events_is_good(pattern: str) -> None:
    assert unheard([pattern]) == []


@pytest.mark.parametrize(
    "pattern",
    ["sales.#", "crm.sales.acount.#", "crm.sales.*", "crm.sales.lead.created", ""],
)
def test_a_pattern_that_binds_nothing_is_named(pattern: str) -> None:
    assert unheard(["crm.sales.lead.#", pattern]) == [pattern]
