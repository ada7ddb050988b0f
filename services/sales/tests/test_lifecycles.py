"""The state machines are what their tables say: every action from every state."""

from contextlib import nullcontext
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kit.errors import DomainError, IllegalTransition
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
MATRIX = [
    (entity, action, state)
    for entity, lifecycle in LIFECYCLES.items()
    for action, state in product(lifecycle.moves, lifecycle.states)
]


@pytest.mark.parametrize(("entity", "action", "state"), MATRIX)
def test_a_lifecycle_follows_its_table(entity: str, action: str, state: str) -> None:
    lifecycle = LIFECYCLES[entity]
    with nullcontext() if action in lifecycle.actions(state) else pytest.raises(IllegalTransition):
        status, reason = lifecycle.after(action, state)
        assert f"{status}/{reason}" in lifecycle.states


@pytest.mark.parametrize(("entity", "action", "state"), MATRIX)
def test_an_illegal_move_says_what_is_allowed(entity: str, action: str, state: str) -> None:
    lifecycle = LIFECYCLES[entity]
    if action in lifecycle.actions(state):
        return
    with pytest.raises(IllegalTransition) as refused:
        lifecycle.after(action, state)
    assert refused.value.members["allowed"] == lifecycle.actions(state)


@given(st.text())
def test_a_strange_reason_is_refused(reason: str) -> None:
    known = {"lost", "cannot_contact", "no_longer_interested", "canceled"}
    with nullcontext() if reason in known else pytest.raises(DomainError):
        assert LEAD.after("disqualify", "open/new", reason) == ("disqualified", reason)
