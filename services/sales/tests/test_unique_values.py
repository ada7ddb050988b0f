"""Each unique value that a client can send: the second one is refused with a pointer."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from crm_kit.testing.unique import met_by_clients
from crm_sales.app import SERVICE

from .journey import Sales

Make = Callable[[Sales], Awaitable[dict[str, Any]]]


def plain(collection: str, **fields: Any) -> tuple[str, Make]:
    async def body(_: Sales) -> dict[str, Any]:
        return fields

    return collection, body


async def price(sales: Sales) -> dict[str, Any]:
    prices = await sales.make("price-lists", name="Retail", currency="EUR")
    card = await sales.make("products", name="Card", list_price={"amount": "9.00", "currency": "EUR"})
    amount = {"amount": "8.00", "currency": "EUR"}
    return {"price_list_id": prices["id"], "product_id": card["id"], "amount": amount}


TWINS: dict[str, tuple[str, Make]] = {
    "uq_account_number": plain("accounts", name="Movers", number="K-4711"),
    "uq_exchange_rate_currency_valid_from": plain(
        "exchange-rates", currency="USD", valid_from="2026-05-04", rate="1.08"
    ),
    "uq_price_list_item_price_list_id_product_id": ("price-list-items", price),
    "uq_product_number": plain("products", name="Card", number="K-4711"),
    "uq_sales_stage_name": plain("sales-stages", name="Haggle", position=7, probability=40),
}


@pytest.mark.parametrize("key", TWINS)
async def test_a_second_one_is_told_with_its_place(sales: Sales, app: FastAPI, key: str) -> None:
    collection, make = TWINS[key]
    body = await make(sales)
    await sales.make(collection, **body)
    answer = await sales.try_make(collection, **body)
    assert (answer.status, answer.problem) == (409, "already-exists"), answer.body
    assert [error["pointer"] for error in answer.json["errors"]] == met_by_clients(SERVICE.entities, app.openapi())[key]
    assert {error["code"] for error in answer.json["errors"]} == {"already-exists"}


def test_all_that_a_client_can_send_twice_are_tried(app: FastAPI) -> None:
    assert TWINS.keys() == met_by_clients(SERVICE.entities, app.openapi()).keys()
