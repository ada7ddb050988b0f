"""The messages of `crm subscribers` about patterns."""

import pytest

from crm_local.subscribers import everything, given, unheard


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


@pytest.mark.parametrize("pattern", ["#", "crm.#", "#.v1", "crm.*.#", "*.*.*.*.*"])
def test_a_pattern_that_hears_everything_is_named(pattern: str) -> None:
    assert everything(["crm.sales.lead.#", pattern]) == pattern


@pytest.mark.parametrize("patterns", [[], ["crm.sales.#"], ["crm.*.*.deleted.v1", "crm.sales.lead.#"]])
def test_a_pattern_of_some_events_needs_no_second_word(patterns: list[str]) -> None:
    assert everything(patterns) is None


def test_who_hears_everything_is_told_what_that_is() -> None:
    assert "personal data: " in given()
    assert "contact" in given().partition("personal data: ")[2]
