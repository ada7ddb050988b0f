"""The state machines are what their tables say: every action from every state."""

from contextlib import nullcontext
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kit.errors import DomainError, IllegalTransition
from crm_kit.lifecycle import Lifecycle
from crm_sales.account.domain import LIFECYCLE as ACCOUNT
from crm_sales.competitor.domain import LIFECYCLE as COMPETITOR
from crm_sales.contact.domain import LIFECYCLE as CONTACT
from crm_sales.goal.domain import LIFECYCLE as GOAL
from crm_sales.invoice.domain import LIFECYCLE as INVOICE
from crm_sales.lead.domain import LIFECYCLE as LEAD
from crm_sales.opportunity.domain import LIFECYCLE as OPPORTUNITY
from crm_sales.order.domain import LIFECYCLE as ORDER
from crm_sales.price_list.domain import LIFECYCLE as PRICE_LIST
from crm_sales.product.domain import LIFECYCLE as PRODUCT
from crm_sales.quote.domain import LIFECYCLE as QUOTE
from crm_sales.sales_contract.domain import LIFECYCLE as SALES_CONTRACT
from crm_sales.sales_literature.domain import LIFECYCLE as SALES_LITERATURE

LIFECYCLES = {
    "lead": LEAD,
    "opportunity": OPPORTUNITY,
    "account": ACCOUNT,
    "contact": CONTACT,
    "product": PRODUCT,
    "price_list": PRICE_LIST,
    "competitor": COMPETITOR,
    "sales_literature": SALES_LITERATURE,
    "goal": GOAL,
    "quote": QUOTE,
    "sales_contract": SALES_CONTRACT,
    "order": ORDER,
    "invoice": INVOICE,
}
EXPECTED = {
    "lead": {
        "open/new": {"contact", "qualify", "disqualify"},
        "open/contacted": {"qualify", "disqualify"},
        "qualified/qualified": {"reopen"},
        "disqualified/lost": {"reopen"},
        "disqualified/cannot_contact": {"reopen"},
        "disqualified/no_longer_interested": {"reopen"},
        "disqualified/canceled": {"reopen"},
    },
    "opportunity": {
        "open/in_progress": {"advance", "hold", "win", "lose"},
        "open/on_hold": {"resume", "win", "lose"},
        "won/won": {"reopen"},
        "lost/canceled": {"reopen"},
        "lost/out_sold": {"reopen"},
    },
    "account": {"active/active": {"deactivate"}, "inactive/inactive": {"activate"}},
    "contact": {"active/active": {"deactivate"}, "inactive/inactive": {"activate"}},
    "price_list": {"active/active": {"deactivate"}, "inactive/inactive": {"activate"}},
    "sales_contract": {
        "draft/draft": {"activate"},
        "active/active": {"end", "terminate"},
        "ended/ended": set(),
        "terminated/terminated": set(),
    },
    "sales_literature": {"active/active": {"deactivate"}, "inactive/inactive": {"activate"}},
    "competitor": {"active/active": {"deactivate"}, "inactive/inactive": {"activate"}},
    "quote": {
        "draft/draft": {"reprice", "activate", "cancel"},
        "active/active": {"win", "order", "lose", "cancel", "revise"},
        "won/won": {"order"},
        "closed/lost": {"revise"},
        "closed/canceled": {"revise"},
        "closed/revised": set(),
        "closed/expired": {"revise"},
    },
    "order": {
        "active/new": {"hold", "lock-prices", "unlock-prices", "reprice", "submit", "cancel"},
        "active/pending": {"resume", "lock-prices", "unlock-prices", "reprice", "cancel"},
        "submitted/submitted": {"fulfill", "invoice", "cancel"},
        "fulfilled/partial": {"fulfill", "invoice", "cancel"},
        "fulfilled/complete": {"invoice", "cancel"},
        "invoiced/invoiced": {"fulfill"},
        "canceled/canceled": set(),
    },
    "invoice": {
        "draft/draft": {"issue", "cancel"},
        "issued/issued": {"pay", "credit", "cancel"},
        "paid/partial": {"pay", "credit"},
        "paid/complete": {"credit"},
        "canceled/canceled": set(),
    },
    "product": {"draft/draft": {"activate"}, "active/active": {"retire", "revise"}, "retired/retired": {"revise"}},
    "goal": {"open/open": {"close", "discard"}, "closed/closed": {"reopen"}, "discarded/discarded": {"reopen"}},
}
MATRIX = [
    (entity, action, state)
    for entity, lifecycle in LIFECYCLES.items()
    for action, state in product(lifecycle.moves, lifecycle.states)
]


@pytest.mark.parametrize("entity", LIFECYCLES)
def test_states_and_moves_are_those_of_the_domain(entity: str) -> None:
    lifecycle = LIFECYCLES[entity]
    assert {state: set(lifecycle.actions(state)) for state in lifecycle.states} == EXPECTED[entity]


@pytest.mark.parametrize(("entity", "action", "state"), MATRIX)
def test_a_lifecycle_follows_its_table(entity: str, action: str, state: str) -> None:
    lifecycle = LIFECYCLES[entity]
    with nullcontext() if action in EXPECTED[entity][state] else pytest.raises(IllegalTransition):
        status, reason = lifecycle.after(action, state)
        assert f"{status}/{reason}" in lifecycle.states


@pytest.mark.parametrize(("entity", "action", "state"), MATRIX)
def test_an_illegal_move_says_what_is_allowed(entity: str, action: str, state: str) -> None:
    if action in EXPECTED[entity][state]:
        return
    with pytest.raises(IllegalTransition) as refused:
        LIFECYCLES[entity].after(action, state)
    assert set(refused.value.members["allowed"]) == EXPECTED[entity][state]


@pytest.mark.parametrize("lifecycle", LIFECYCLES.values(), ids=LIFECYCLES)
def test_every_state_can_be_reached(lifecycle: Lifecycle) -> None:
    reached, waiting = {lifecycle.initial}, [lifecycle.initial]
    while waiting:
        state = waiting.pop()
        for action in [*lifecycle.actions(state), *lifecycle.follows(state)]:
            for reason in lifecycle.reasons(action):
                after = "/".join(lifecycle.after(action, state, reason))
                if after not in reached:
                    reached.add(after)
                    waiting.append(after)
    assert reached == set(lifecycle.states)


@given(st.text())
def test_a_strange_reason_is_refused(reason: str) -> None:
    known = {"lost", "cannot_contact", "no_longer_interested", "canceled"}
    with nullcontext() if reason in known else pytest.raises(DomainError):
        assert LEAD.after("disqualify", "open/new", reason) == ("disqualified", reason)
