"""Documents with lines: what a quote of twenty priced lines costs."""

import json
from typing import Any

import aiohttp

from bench.driver import Load, LoadFailed
from bench.scenes import Options
from bench.suite import Suite

LINES = 20
API = "/api/v1"


async def catalogue(suite: Suite) -> tuple[str, list[str]]:
    """A price list, and as many products in it as a document has lines; every other has a volume discount."""
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
    """Quotes of all products, each priced from the list."""
    lines = [{"product_id": product, "quantity": str(number % 5 + 1)} for number, product in enumerate(products)]
    body = {"name": "Quote @N@", "price_list_id": price_list, "discount_percent": 2.5, "lines": lines}
    return Load("POST", [f"{API}/quotes"], [json.dumps(body)], connections=options.connections, seconds=options.seconds)


async def _post(session: aiohttp.ClientSession, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    async with session.post(f"{API}{path}", json=body) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        if response.status not in (200, 201):
            raise LoadFailed(f"POST {path} answered {response.status}: {answer}")
        return answer
