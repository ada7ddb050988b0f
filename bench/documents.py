"""Documents with lines: the cost of a quote with twenty priced lines, and the way from an order to its issued invoice."""

import asyncio
import json
from statistics import quantiles
from typing import Any

import aiohttp

from bench.driver import Load, LoadFailed
from bench.report import Sample, Side
from bench.scenes import Options
from bench.suite import BACKLOG_SECONDS, Suite
from crm_kit import clock

LINES = 20
API = "/api/v1"


async def catalogue(suite: Suite) -> tuple[str, list[str]]:
    """Create a price list with as many products as a document has lines. Every other one has a volume discount."""
    token = (await suite.tokens("organization"))[0]
    async with aiohttp.ClientSession(suite.gateway, headers={"Authorization": f"Bearer {token}"}) as session:
        prices = await _post(session, "/price-lists", {"name": "Bench", "currency": "EUR"})
        products = []
        for number in range(LINES):
            price = {"amount": f"{number + 1}.95", "currency": "EUR"}
            body = {"name": f"Product {number}", "unit": "piece", "tax_percent": 19, "list_price": price}
            product = await _post(session, "/products", body)
            await _post(session, f"/products/{product['id']}/activate", None)
            breaks = [{"min_quantity": "2", "discount_percent": 5}] if number % 2 else []
            item = {
                "price_list_id": prices["id"],
                "product_id": product["id"],
                "amount": price,
                "volume_breaks": breaks,
            }
            await _post(session, "/price-list-items", item)
            products.append(product["id"])
    return prices["id"], products


def quotes(price_list: str, products: list[str], options: Options) -> Load:
    """Create quotes of all products, each priced from the list."""
    body = {"name": "Quote @N@", **_content(price_list, products)}
    return Load("POST", [f"{API}/quotes"], [json.dumps(body)], connections=options.connections, seconds=options.seconds)


async def chains(suite: Suite, price_list: str, products: list[str], options: Options) -> Side:
    """Take orders of all products to an issued invoice.

    Each request needs the previous answer, so the clients run here and not in wrk. Five requests with their JSON take a
    few percent of the time of the server.
    """
    token = (await suite.tokens("organization"))[0]
    async with aiohttp.ClientSession(suite.gateway, headers={"Authorization": f"Bearer {token}"}) as session:
        account = await _post(session, "/accounts", {"name": "Bench"})
    customer = {"type": "account", "id": account["id"]}
    body = {"name": "Order", "customer": customer, "payment_terms": "net_30", **_content(price_list, products)}

    async def client(session: aiohttp.ClientSession, until: float, seconds: list[float]) -> None:
        while (began := clock.monotonic()) < until:
            order = await _post(session, "/orders", body)
            await _post(session, f"/orders/{order['id']}/submit", None)
            await _post(session, f"/orders/{order['id']}/fulfill", None)
            invoice = await _post(session, f"/orders/{order['id']}/invoice", None)
            await _post(session, f"/invoices/{invoice['id']}/issue", None)
            seconds.append(clock.monotonic() - began)

    async def once() -> Sample:
        headers = {"Authorization": f"Bearer {(await suite.tokens('organization'))[0]}"}
        seconds: list[float] = []
        async with aiohttp.ClientSession(suite.gateway, headers=headers) as session:
            began = clock.monotonic()
            until = began + options.seconds
            await asyncio.gather(*(client(session, until, seconds) for _ in range(options.connections)))
            took = clock.monotonic() - began
        if (backlog := await suite.settled()) > BACKLOG_SECONDS:
            raise LoadFailed(f"the backlog was gone only {backlog:.1f} s after the run")
        cuts = quantiles(seconds, n=100)
        return Sample(len(seconds) / took, 0, {"p50": cuts[49] * 1000, "p95": cuts[94] * 1000, "p99": cuts[98] * 1000})

    return once


def _content(price_list: str, products: list[str]) -> dict[str, Any]:
    lines = [{"product_id": product, "quantity": str(number % 5 + 1)} for number, product in enumerate(products)]
    return {"price_list_id": price_list, "discount_percent": 2.5, "lines": lines}


async def _post(session: aiohttp.ClientSession, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    async with session.post(f"{API}{path}", json=body) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        if response.status not in (200, 201):
            raise LoadFailed(f"POST {path} answered {response.status}: {answer}")
        return answer
