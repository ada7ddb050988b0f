"""Migrate a pipeline to a running suite through its gateway only, like a company that leaves another CRM."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp

from bench.driver import LoadFailed
from bench.pipeline import Pipeline, accounts_file, deals_file, email_of, status_of

API = "/api/v1"
Json = dict[str, Any]


@dataclass
class Migration:
    """The records created so far. ``requests`` counts the requests, except polls of running jobs."""

    session: aiohttp.ClientSession
    pipeline: Pipeline
    requests: int = 0
    accounts: dict[str, str] = field(default_factory=dict)
    products: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Create users, products, accounts and all deals. Raises LoadFailed at the first unexpected answer."""
        currency = (await self._send("GET", "/settings/organization"))["base_currency"]
        await self._hire()
        await self._stock(currency)
        await self._know(currency)
        deals = deals_file(self.pipeline, currency, self.accounts, self.products)
        await self._import("opportunities", deals, len(self.pipeline.deals))

    async def won(self) -> tuple[int, Decimal]:
        """Return the number of won deals and the sum of their values."""
        count, total, after = 0, Decimal(0), ""
        while True:
            page = await self._send("GET", f"/opportunities?status=won&limit=200&fields=id,actual_value{after}")
            count += len(page["items"])
            total += sum((Decimal(deal["actual_value"]["amount"]) for deal in page["items"]), Decimal(0))
            if page["next"] is None:
                return count, total
            after = f"&after={page['next']}"

    async def statuses(self) -> dict[str, int]:
        """Return the number of deals in each status."""
        wanted = {status_of(deal) for deal in self.pipeline.deals}
        return {
            status: (await self._send("GET", f"/opportunities?status={status}&limit=1&count=exact"))["count"]
            for status in sorted(wanted)
        }

    async def _hire(self) -> None:
        """Create a business unit for each region, a team for each manager, and the agents."""
        roles = {role["name"]: role["id"] for role in (await self._send("GET", "/security-roles?limit=200"))["items"]}
        root = (await self._send("GET", "/business-units?parent_id[is_null]=true"))["items"][0]["id"]
        regions = {team["regional_office"] for team in self.pipeline.teams}
        units = {
            region: (await self._make("/business-units", {"name": region, "parent_id": root}))["id"]
            for region in sorted(regions)
        }
        teams: dict[str, str] = {}
        for row in self.pipeline.teams:
            manager, unit = row["manager"], units[row["regional_office"]]
            if manager not in teams:
                body = {"name": f"Team of {manager}", "business_unit_id": unit}
                teams[manager] = (await self._make("/teams", body))["id"]
                await self._user(manager, unit, teams[manager], roles["Sales manager"])
            await self._user(row["sales_agent"], unit, teams[manager], roles["Salesperson"])

    async def _user(self, name: str, unit: str, team: str, role: str) -> None:
        body = {"email": email_of(name), "name": name, "business_unit_id": unit, "team_ids": [team], "role_ids": [role]}
        await self._make("/users", body)

    async def _stock(self, currency: str) -> None:
        """Create a family for each series and its products, all of them on one price list."""
        families: dict[str, str] = {}
        price_list = await self._make("/price-lists", {"name": "Pipeline", "currency": currency})
        for row in self.pipeline.products:
            if row["series"] not in families:
                family = await self._make("/products", {"name": row["series"], "structure": "family"})
                families[row["series"]] = family["id"]
                await self._send("POST", f"/products/{family['id']}/activate")
            price = {"amount": row["sales_price"], "currency": currency}
            body = {"name": row["product"], "parent_id": families[row["series"]], "list_price": price}
            product = await self._make("/products", body)
            await self._send("POST", f"/products/{product['id']}/activate")
            item = {"price_list_id": price_list["id"], "product_id": product["id"], "amount": price}
            await self._make("/price-list-items", {**item, "pricing_method": "amount"})
            self.products[row["product"]] = product["id"]

    async def _know(self, currency: str) -> None:
        """Create the accounts, parents first."""
        parents = {row["subsidiary_of"] for row in self.pipeline.accounts} - {""}
        first = [row for row in self.pipeline.accounts if row["account"] in parents]
        for row in first:
            if row["subsidiary_of"]:
                raise LoadFailed(f"{row['account']} belongs to somebody and others to it: that is not foreseen here")
        for rows in (first, [row for row in self.pipeline.accounts if row["account"] not in parents]):
            await self._import("accounts", accounts_file(rows, currency, self.accounts), len(rows))
            self.accounts |= await self._ids_of([row["account"] for row in rows])

    async def _ids_of(self, names: Sequence[str]) -> Mapping[str, str]:
        query = {"filter": {"field": "name", "op": "in", "value": list(names)}, "limit": 200}
        page = await self._send("POST", "/accounts/query", query)
        found = {account["name"]: account["id"] for account in page["items"]}
        if len(found) != len(names):
            raise LoadFailed(f"{len(names)} accounts were imported and {len(found)} are there")
        return found

    async def _import(self, collection: str, content: bytes, rows: int) -> None:
        form = aiohttp.FormData({"duplicates": "allow"})
        form.add_field("file", content, filename=f"{collection}.csv", content_type="text/csv")
        self.requests += 1
        async with self.session.post(f"{API}/{collection}/import", data=form) as answer:
            if answer.status != 202:
                raise LoadFailed(f"the import of {collection} answered {answer.status}: {await answer.text()}")
            location = answer.headers["Location"]
        while True:
            async with self.session.get(location) as answer:
                job = await answer.json()
            if job["status"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.1)
        if job["done"] != rows or job["failed"]:
            async with self.session.get(f"{location}/errors") as answer:
                raise LoadFailed(f"{job['done']} of {rows} {collection} came in:\n{(await answer.text())[:2000]}")

    async def _make(self, path: str, body: Json) -> Json:
        return await self._send("POST", path, body, 201)

    async def _send(self, method: str, path: str, body: Json | None = None, status: int = 200) -> Json:
        self.requests += 1
        async with self.session.request(method, f"{API}{path}", json=body) as answer:
            text = await answer.text()
            if answer.status != status:
                raise LoadFailed(f"{method} {path} answered {answer.status}: {text[:1000]}")
            found: Json = await answer.json(content_type=None) if text else {}
            return found
