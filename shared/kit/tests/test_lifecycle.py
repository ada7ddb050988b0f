"""The transition table: the guard of every command."""

from itertools import product

import pytest

from crm_kit.errors import IllegalTransition, InvalidValue
from crm_kit.lifecycle import ACTIVE_INACTIVE, Lifecycle

DOOR = Lifecycle(
    "open/new",
    {
        "close": ({"open/*"}, "closed/shut|locked"),
        "open": ({"closed/shut"}, "open/again"),
        "unlock": ({"closed/locked"}, "closed/shut"),
    },
)
ALLOWED = {
    "open/new": ["close"],
    "open/again": ["close"],
    "closed/shut": ["open"],
    "closed/locked": ["unlock"],
}


@pytest.mark.parametrize(("action", "state"), product(DOOR.moves, DOOR.states))
def test_a_move_is_possible_exactly_where_the_table_says(action: str, state: str) -> None:
    if action in ALLOWED[state]:
        assert "/".join(DOOR.after(action, state)) in ALLOWED
    else:
        with pytest.raises(IllegalTransition) as refused:
            DOOR.after(action, state)
        status, _, reason = state.partition("/")
        assert refused.value.members == {"record_status": status, "status_reason": reason, "allowed": ALLOWED[state]}


def test_a_target_with_reasons_takes_one_of_them_and_the_first_by_default() -> None:
    assert DOOR.after("close", "open/new") == ("closed", "shut")
    assert DOOR.after("close", "open/new", "locked") == ("closed", "locked")
    with pytest.raises(InvalidValue, match="shut, locked") as refused:
        DOOR.after("close", "open/new", "slammed")
    assert [error.pointer for error in refused.value.errors] == ["/reason"]


def test_a_target_of_several_states_is_chosen_by_the_reason() -> None:
    bill = Lifecycle("draft/draft", {"issue": ({"draft/draft"}, "issued/issued, paid/partial|complete")})
    assert bill.states == ["draft/draft", "issued/issued", "paid/partial", "paid/complete"]
    assert bill.after("issue", "draft/draft") == ("issued", "issued")
    assert bill.after("issue", "draft/draft", "complete") == ("paid", "complete")
    assert bill.describe()["moves"]["issue"]["to"] == ["issued/issued", "paid/partial", "paid/complete"]


def test_the_table_describes_itself_as_data() -> None:
    described = DOOR.describe()
    assert described["initial"] == "open/new"
    assert set(described["states"]) == set(ALLOWED)
    assert described["moves"]["close"] == {"from": ["open/new", "open/again"], "to": ["closed/shut", "closed/locked"]}


def test_what_is_switched_on_can_be_switched_off() -> None:
    assert ACTIVE_INACTIVE.after("deactivate", "active/active") == ("inactive", "inactive")
    assert ACTIVE_INACTIVE.actions("inactive/inactive") == ["activate"]


BULB = Lifecycle(
    "whole/dark",
    {"light": ({"whole/dark"}, "whole/lit"), "replace": ({"broken/*"}, "whole/dark")},
    by_time={"burn_out": ({"whole/lit"}, "broken/burnt")},
    by_others={"cut_off": ({"whole/lit"}, "whole/dark")},
)


def test_what_time_and_others_do_is_nobodys_command() -> None:
    assert [BULB.actions(state) for state in ("whole/dark", "whole/lit", "broken/burnt")] == [
        ["light"],
        [],
        ["replace"],
    ]
    assert [BULB.follows(state) for state in BULB.states] == [[], ["burn_out", "cut_off"], []]
    assert BULB.after("burn_out", "whole/lit") == ("broken", "burnt")
    with pytest.raises(IllegalTransition) as refused:
        BULB.after("burn_out", "whole/dark")
    assert refused.value.members["allowed"] == ["light"]
    described = BULB.describe()
    assert set(described["moves"]) == {"light", "replace"}
    assert described["by_time"] == {"burn_out": {"from": ["whole/lit"], "to": ["broken/burnt"]}}
    assert described["by_others"] == {"cut_off": {"from": ["whole/lit"], "to": ["whole/dark"]}}
