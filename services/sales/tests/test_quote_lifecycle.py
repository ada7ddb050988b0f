"""The life cycle of a quote: activated, revised, won, lost, canceled, expired; and its customer."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from crm_contracts.money import Money, exponent
from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.testing import People, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork
from crm_sales.pricing.schemas import LineInput
from crm_sales.quote.commands import create_quote
from crm_sales.quote.domain import LIFECYCLE
from crm_sales.quote.expiry import due_to_expire
from crm_sales.quote.model import Quote
from crm_sales.quote.schemas import QuoteCreate
from crm_sales.worker import TIMERS

from .journey import API, Json, Sales, euros
from .plans import plan_of
from .selling import make_customer, make_price_list, make_product, make_quote


async def revise(sales: Sales, quote: Json) -> Json:
    answer = await sales.try_act("quotes", quote, "revise")
    assert answer.status == 201, answer.body
    assert answer.headers["location"] == f"{API}/quotes/{answer.json['id']}"
    found: Json = answer.json
    return found


async def quotes_of(sales: Sales, number: str) -> list[Json]:
    return await sales.page("quotes", f"number={number}&sort=revision")


async def test_a_quote_is_activated_revised_twice_and_won(sales: Sales) -> None:
    first = await make_quote(sales)
    await sales.act("quotes", first, "activate")
    second = await revise(sales, first)
    await sales.patch("quotes", second, discount_percent=5)
    await sales.act("quotes", second, "activate")
    third = await revise(sales, second)
    assert (third["discount_total"], third["version"]) == (euros("10.00"), 1)
    assert [line["id"] for line in third["lines"]] == [line["id"] for line in first["lines"]]
    offered = await sales.act("quotes", third, "activate")
    assert offered["allowed_actions"] == ["win", "order", "lose", "cancel", "revise", "assign"]
    won = await sales.act("quotes", third, "win")
    assert (won["closed_at"], won["allowed_actions"]) == (won["modified_at"], ["order", "assign"])
    assert [
        (one["revision"], one["status"], one["status_reason"]) for one in await quotes_of(sales, first["number"])
    ] == [
        (1, "closed", "revised"),
        (2, "closed", "revised"),
        (3, "won", "won"),
    ]
    assert (await sales.facts())[1:] == [
        "quote.created",
        "quote.activated",
        "quote.revised",
        "quote.created",
        "quote.updated",
        "quote.activated",
        "quote.revised",
        "quote.created",
        "quote.activated",
        "quote.won",
    ]
    told = [event["data"] for event in await sales.events()]
    assert (told[3]["next_quote_id"], told[3]["next_revision"]) == (second["id"], 2)
    assert (told[-1]["total"], told[-1]["total_base"], told[-1]["won_at"]) == (
        won["total"],
        won["total"],
        won["closed_at"],
    )


async def test_a_revision_belongs_to_the_owner_of_the_one_before(sales: Sales, people: People) -> None:
    grace = await people.user("Grace Hopper")
    quote = await make_quote(sales)
    await sales.act("quotes", quote, "assign", owner_type="user", owner_id=str(grace))
    await sales.act("quotes", quote, "activate")
    assert (await revise(sales, quote))["owner_id"] == str(grace)


@pytest.mark.parametrize("ended", ["lose", "cancel"])
async def test_what_was_turned_down_or_withdrawn_can_be_revised(sales: Sales, ended: str) -> None:
    quote = await make_quote(sales)
    await sales.act("quotes", quote, "activate")
    closed = await sales.act("quotes", quote, ended)
    assert (closed["status"], closed["allowed_actions"]) == ("closed", ["revise", "assign"])
    following = await revise(sales, quote)
    assert (following["status"], following["revision"], following["closed_at"]) == ("draft", 2, None)
    before = await sales.get("quotes", quote["id"])
    assert (before["status_reason"], before["allowed_actions"]) == ("revised", ["assign"])


async def test_twenty_at_once_revise_a_quote_once(sales: Sales) -> None:
    quote = await make_quote(sales)
    await sales.act("quotes", quote, "activate")
    answers = await asyncio.gather(*(sales.try_act("quotes", quote, "revise") for _ in range(20)))
    assert Counter(answer.status for answer in answers) == {201: 1, 409: 19}
    assert [one["status"] for one in await quotes_of(sales, quote["number"])] == ["closed", "draft"]
    counts = Counter(await sales.facts())
    assert (counts["quote.revised"], counts["quote.created"]) == (1, 2)


async def test_a_retried_revision_is_the_one_that_was_made(sales: Sales) -> None:
    quote = await sales.act("quotes", await make_quote(sales), "activate")
    path, key = f"{API}/quotes/{quote['id']}/revise", {"idempotency-key": "once"}
    answers = [await sales.client.post(path, headers=key) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json
    assert answers[1].headers["location"] == answers[0].headers["location"]


async def test_the_database_keeps_one_live_revision_of_a_number(sales: Sales, runtime: Runtime) -> None:
    quote = await make_quote(sales)
    await sales.act("quotes", quote, "activate")
    following = await revise(sales, quote)
    for statement in (
        "update quote set status = 'active' where id = $1",
        "update quote set revision = 2 where id = $1",
    ):
        with pytest.raises(IntegrityError, match="uq_quote"):
            async with runtime.db.begin() as conn:
                await conn.exec_driver_sql(statement, (UUID(quote["id"]),))
    assert (await sales.get("quotes", following["id"]))["status"] == "draft"


async def test_a_later_revision_is_canceled_instead_of_deleted(sales: Sales) -> None:
    quote = await sales.act("quotes", await make_quote(sales), "activate")
    following = await revise(sales, quote)
    assert (await sales.delete("quotes", following)).problem == "not-deletable"
    await sales.act("quotes", following, "cancel")
    assert (await revise(sales, following))["revision"] == 3


@pytest.mark.parametrize("command", ["win", "lose", "revise", "expire"])
async def test_a_draft_is_neither_accepted_nor_turned_down(sales: Sales, command: str) -> None:
    answer = await sales.try_act("quotes", await make_quote(sales), command)
    if command == "expire":
        assert answer.status == 404
    else:
        assert (answer.status, answer.problem) == (409, "illegal-transition")
        assert answer.json["allowed"] == ["reprice", "activate", "cancel"]


WAYS: list[list[str]] = [
    [],
    ["activate"],
    ["cancel"],
    *(["activate", end] for end in ("win", "lose", "cancel", "revise")),
]


@pytest.mark.parametrize("way", WAYS, ids="-".join)
async def test_allowed_actions_tell_the_truth(sales: Sales, way: list[str]) -> None:
    for command in LIFECYCLE.moves:
        quote = await make_quote(sales)
        for step in way:
            assert (await sales.try_act("quotes", quote, step)).status in (200, 201)
        quote = await sales.get("quotes", quote["id"])
        answer = await sales.try_act("quotes", quote, command)
        if command in quote["allowed_actions"]:
            assert answer.status == (201 if command in ("revise", "order") else 200)
        else:
            assert (answer.status, answer.problem) == (409, "illegal-transition")
            assert [*answer.json["allowed"], "assign"] == quote["allowed_actions"]


async def test_only_a_draft_is_edited(sales: Sales) -> None:
    quote = await sales.act("quotes", await make_quote(sales), "activate")
    answer = await sales.try_patch("quotes", quote, name="Other")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert answer.json["allowed"] == ["win", "order", "lose", "cancel", "revise"]
    assert (await sales.try_act("quotes", quote, "reprice")).problem == "illegal-transition"


async def test_a_new_price_never_reaches_an_activated_quote(sales: Sales) -> None:
    card = await make_product(sales)
    retail = await make_price_list(sales, (card, "11.00"))
    quote = await make_quote(sales, price_list_id=retail["id"], lines=[{"product_id": card["id"], "quantity": "1"}])
    offered = await sales.act("quotes", quote, "activate")
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}")
    await sales.patch("price-list-items", item, amount=euros("99.00"))
    await sales.act("products", card, "retire")
    await sales.act("price-lists", retail, "deactivate")
    assert await sales.get("quotes", quote["id"]) == offered
    won = await sales.act("quotes", quote, "win")
    assert (won["lines"], won["total"]) == (offered["lines"], offered["total"])


async def test_nothing_is_offered_without_lines_days_or_a_customer(sales: Sales) -> None:
    answer = await sales.try_act("quotes", await make_quote(sales, lines=[]), "activate")
    assert (answer.status, answer.problem) == (422, "lines-required")
    answer = await sales.try_act("quotes", await make_quote(sales, effective_to="2020-01-01"), "activate")
    assert (answer.status, answer.problem) == (422, "already-expired")
    answer = await sales.try_act("quotes", await make_quote(sales, customer=None), "activate")
    assert (answer.status, answer.problem) == (422, "customer-required")


async def test_an_active_quote_expires_by_itself_after_its_last_day(
    sales: Sales, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = str((clock.now() + timedelta(days=2)).date())
    offered = await sales.act("quotes", await make_quote(sales, effective_to=day), "activate")
    endless = await sales.act("quotes", await make_quote(sales), "activate")
    draft = await make_quote(sales, effective_to=day)
    loop = TimerLoop(TIMERS, runtime)
    assert await loop.fire_due() == 0
    later = clock.now() + timedelta(days=4)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert await loop.fire_due() == 1
    assert await loop.fire_due() == 0
    monkeypatch.undo()
    expired = await sales.get("quotes", offered["id"])
    assert (expired["status"], expired["status_reason"], expired["allowed_actions"]) == (
        "closed",
        "expired",
        ["revise", "assign"],
    )
    told = (await sales.events())[-1]
    assert (told["type"], told["actor"]) == ("crm.sales.quote.expired.v1", "system:sales")
    assert told["data"]["expired_at"] == expired["closed_at"]
    for other, status in ((endless, "active"), (draft, "draft")):
        assert (await sales.get("quotes", other["id"]))["status"] == status
    assert (await revise(sales, offered))["effective_to"] == day


@pytest.mark.parametrize(
    ("zone", "instant", "past"),
    [
        ("Pacific/Kiritimati", datetime(2026, 5, 31, 9, 59, tzinfo=UTC), False),
        ("Pacific/Kiritimati", datetime(2026, 5, 31, 10, 0, tzinfo=UTC), True),
        ("America/Los_Angeles", datetime(2026, 6, 1, 6, 59, tzinfo=UTC), False),
        ("America/Los_Angeles", datetime(2026, 6, 1, 7, 0, tzinfo=UTC), True),
    ],
)
async def test_a_day_ends_where_the_organisation_is(
    sales: Sales, runtime: Runtime, people: People, zone: str, instant: datetime, past: bool
) -> None:
    await people.organization(time_zone=zone)
    quote = await sales.act("quotes", await make_quote(sales), "activate")
    async with runtime.db.begin() as conn:
        await conn.execute(update(Quote).where(Quote.id == UUID(quote["id"])).values(effective_to=date(2026, 5, 31)))
        due = [str(found) for found in (await conn.execute(due_to_expire(instant))).scalars()]
    assert due == ([quote["id"]] if past else [])


async def test_the_timer_never_reads_the_whole_table(sales: Sales, runtime: Runtime) -> None:
    await make_quote(sales, effective_to="2099-12-31")
    plan = await plan_of(runtime, due_to_expire, Quote)
    assert "ix_quote_to_expire" in plan, plan


CURRENCIES = st.sampled_from(["JPY", "EUR", "KWD"])


def half_up(exact: Fraction, currency: str) -> Decimal:
    unit: int = 10 ** exponent(currency)
    whole: int = (exact * unit + Fraction(1, 2)).__floor__()
    return Decimal(whole) / unit


@st.composite
def bodies(draw: st.DrawFn) -> QuoteCreate:
    currency = draw(CURRENCIES)
    amount = st.decimals(0, 10_000, places=exponent(currency)).map(lambda found: Money(found, currency))
    line = st.builds(
        LineInput,
        name=st.just("Something"),
        quantity=st.decimals(Decimal("0.00001"), 1_000, places=5),
        unit_price=amount,
        tax_percent=st.decimals(0, 100, places=2),
    )
    return QuoteCreate(
        name="Q",
        currency=currency,
        lines=draw(st.lists(line, min_size=1, max_size=5)),
        discount_percent=draw(st.none() | st.decimals(0, 100, places=2)),
        discount_amount=draw(st.none() | amount),
        freight=draw(st.none() | amount),
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies())
async def test_the_totals_of_a_quote_are_those_of_the_oracle(runtime: Runtime, caller: Any, body: QuoteCreate) -> None:
    currency = body.currency or ""
    async with runtime.db.connect(autocommit=False) as conn:
        await conn.exec_driver_sql(
            "insert into exchange_rate (id, version, currency, rate, valid_from, created_at, modified_at)"
            " select gen_random_uuid(), 1, c, 2, '2020-01-01', $1, $1 from unnest(array['JPY', 'KWD']) c",
            (clock.now(),),
        )
        quote = await create_quote(UnitOfWork(runtime, caller, Cause(correlation_id="a test"), conn=conn), body)
        await conn.rollback()
    nets = [
        half_up(Fraction(line.unit_price.amount) * Fraction(line.quantity), currency)
        for line in body.lines
        if line.unit_price
    ]
    taxes = [
        half_up(Fraction(net) * Fraction(line.tax_percent or 0) / 100, currency)
        for net, line in zip(nets, body.lines, strict=True)
    ]
    subtotal = sum(nets, Decimal(0))
    off = half_up(Fraction(subtotal) * Fraction(body.discount_percent or 0) / 100, currency)
    discount = min(off + (body.discount_amount.amount if body.discount_amount else 0), subtotal)
    due = subtotal - discount + (body.freight.amount if body.freight else 0) + sum(taxes, Decimal(0))
    assert [quote.subtotal, quote.discount_total, quote.tax_total, quote.total] == [
        Money(amount, currency) for amount in (subtotal, discount, sum(taxes, Decimal(0)), due)
    ]
    assert quote.total_base == Money(half_up(Fraction(due) * (1 if currency == "EUR" else 2), "EUR"), "EUR")


async def test_quotes_one_may_not_read_hold_a_win_up_without_being_told(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    customer = await make_customer(sales)
    deal = await sales.make("opportunities", name="Forty cars", customer=customer, estimated_value=euros("1.00"))
    await sales.act("quotes", await make_quote(sales, opportunity_id=deal["id"]), "activate")
    answer = await sales_for(principal(quote=Depth.NONE)).try_act("opportunities", deal, "win")
    assert (answer.problem, answer.json["references"]) == ("unfinished-business", [{"hidden": True}])


async def test_winning_a_deal_whose_quotes_are_active_needs_force(sales: Sales) -> None:
    customer = await make_customer(sales)
    deal = await sales.make("opportunities", name="Forty cars", customer=customer, estimated_value=euros("1.00"))
    quotes = [await make_quote(sales, opportunity_id=deal["id"]) for _ in range(3)]
    await sales.act("quotes", quotes[0], "activate")
    await sales.act("quotes", quotes[1], "activate")
    answer = await sales.try_act("opportunities", deal, "win")
    assert (answer.status, answer.problem) == (409, "unfinished-business")
    assert answer.json["references"] == [
        {"type": "quote", "id": quote["id"], "name": quote["number"]} for quote in quotes[:2]
    ]
    assert (await sales.get("opportunities", deal["id"]))["status"] == "open"
    assert (await sales.act("opportunities", deal, "win", force=True))["status"] == "won"
    assert (await sales.get("quotes", quotes[0]["id"]))["status"] == "active"


async def test_quotes_that_are_finished_hold_no_win_up(sales: Sales) -> None:
    customer = await make_customer(sales)
    deal = await sales.make("opportunities", name="Forty cars", customer=customer, estimated_value=euros("1.00"))
    for ended in ("win", "lose", "cancel"):
        quote = await make_quote(sales, opportunity_id=deal["id"])
        await sales.act("quotes", quote, "activate")
        await sales.act("quotes", quote, ended)
    assert (await sales.act("opportunities", deal, "win"))["status"] == "won"
