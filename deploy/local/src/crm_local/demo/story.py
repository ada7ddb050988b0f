"""The acts in the order of the running example: from a campaign to a customer whose case is resolved."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import aiohttp
import orjson

from crm_kit import clock
from crm_local.demo import sale
from crm_local.demo.cast import Prospect, as_file, prospects
from crm_local.demo.client import Person, Refused, Trail
from crm_local.demo.stage import Stage, money, percent

LEADS, CALLED, QUALIFIED, WON, LOST = 40, 14, 10, 3, 2
ACTS = 12

ANYBODY = {"allow_duplicates": True}
"""People and companies of earlier runs can have the same names."""

SHOWN = ("contacts", "leads", "opportunities", "quotes", "orders", "invoices", "cases", "campaigns", "timeline")

STAFF = (
    ("marketer", "Emma Clarke", "Marketer", "en-GB"),
    ("salesperson", "高橋 由紀", "Salesperson", "ja-JP"),
    ("agent", "陳 雅婷", "Service agent", "zh-Hant-TW"),
)


@dataclass
class Play:
    """One run of the demo."""

    stage: Stage
    trail: Trail
    session: aiohttp.ClientSession
    administrator: Person
    run: str
    chance: Random
    currency: str = "EUR"

    async def perform(self) -> None:
        """Play all acts. Raises Refused on an unexpected answer."""
        with self.stage.open() as whole:
            self.stage.act(whole, "The bank hires three people")
            marketer, seller, agent = await self.hire()
            self.stage.act(whole, f"{marketer.name} launches a campaign")
            campaign = await self.launch(marketer)
            self.stage.act(whole, f"{seller.name} imports the people who answered it")
            leads = await self.import_leads(seller, campaign)
            self.stage.act(whole, "She telephones")
            await self.call(seller, leads[:CALLED])
            self.stage.act(whole, "She qualifies who is interested")
            heroine, others = await self.qualify(seller, leads[:QUALIFIED])
            self.stage.act(whole, "The plan is quoted, accepted, ordered, invoiced and paid")
            invoice = await self.sell(seller, heroine)
            self.stage.act(whole, "Deals advance, and are won and lost")
            won = await self.close(seller, heroine, others, invoice["total"])
            self.stage.act(whole, "The follow-up task is there, and nobody made it")
            await self.follow_up(seller, won)
            self.stage.act(whole, f"What the campaign earned, as {marketer.name} sees it")
            await self.earned(marketer, campaign, won)
            self.stage.act(whole, f"Months later: {agent.name} takes a complaint")
            await self.complain(agent, heroine, won)
            self.stage.act(whole, "The customer, from every service in one answer")
            await self.everything(agent, won)
            self.stage.act(whole, f"{seller.name}'s funnel")
            self.stage.funnel(await seller.get(f"/funnel?owner_id={seller.user_id}"))

    async def hire(self) -> list[Person]:
        """Create users with one default role each, in the administrator's business unit."""
        roles = {role["name"]: role["id"] for role in (await self.administrator.get("/security-roles"))["items"]}
        people = []
        for post, name, role, language in STAFF:
            if role not in roles:
                raise Refused(f"there is no role called {role} any more")
            email, password = f"{post}.{self.run}@example.com", secrets.token_urlsafe(16)
            body = {"email": email, "name": name, "password": password, "role_ids": [roles[role]], "locale": language}
            user = await self.administrator.post("/users", body)
            person = await Person.log_in(self.session, self.trail, name, email, password)
            person.user_id = user["id"]
            people.append(person)
            self.stage.say(f"{name}, {role}, {email}")
        await self.tell()
        return people

    async def launch(self, marketer: Person) -> dict[str, Any]:
        """Launch a campaign with three channels and a cost."""
        campaign = await marketer.post(
            "/campaigns",
            {
                "name": f"Gold card {self.run}",
                "type": "direct_marketing",
                "channels": ["email", "newspaper", "video"],
                "offer": "The first year free",
                "budget": self.money(4_000),
                "other_cost": self.money(1_500),
            },
        )
        for command in ("ready", "launch"):
            campaign = await marketer.post(f"/campaigns/{campaign['id']}/{command}")
        self.stage.say(f"{campaign['name']} ({campaign['number']}) is {campaign['status']}")
        await self.tell()
        return campaign

    async def import_leads(self, seller: Person, campaign: dict[str, Any]) -> list[dict[str, Any]]:
        """Import the file of a call centre with mapped columns."""
        people = prospects(LEADS, self.run, self.chance)
        mapping = {
            "Given name": "first_name",
            "Family name": "last_name",
            "Firm": "company_name",
            "Mail": "email",
            "Telephone": "phone",
            "Worth a year": "estimated_value.amount",
            f"={self.currency}": "estimated_value.currency",
            "=Gold card": "topic",
            "=campaign": "source",
            f"={campaign['id']}": "campaign_id",
        }
        fields = {"mapping": orjson.dumps(mapping).decode(), "duplicates": "allow"}
        place = await seller.upload(
            "/leads/import", as_file(people), fields, after=f"campaign/{campaign['id']}@{campaign['version']}"
        )
        with self.stage.counting("rows", LEADS) as counter:
            while (job := await seller.get(place))["status"] in ("queued", "running"):
                counter.reach(job["done"])
                await asyncio.sleep(0.1)
        if (job["status"], job["done"]) != ("completed", LEADS):
            raise Refused(f"the import is {job['status']} with {job['done']} of {LEADS} rows: {place}/errors")
        page = await seller.get(f"/leads?campaign_id={campaign['id']}&sort=created_at&limit=200")
        self.stage.say(f"{job['done']} leads of four languages: {', '.join(_names(people[:4]))}, …")
        for lead in page["items"]:
            self.trail.note(f"lead/{lead['id']}@{lead['version']}")
        await self.tell()
        by_email = {lead["email"]: lead for lead in page["items"]}
        return [by_email[person.email] for person in people]

    async def call(self, seller: Person, leads: Sequence[dict[str, Any]]) -> None:
        """Log a phone call with each lead. The leads then count as contacted."""
        with self.stage.counting("calls", len(leads)) as counter:
            for number, lead in enumerate(leads):
                ended = clock.now()
                call = await seller.post(
                    "/phone-calls",
                    {
                        "subject": "Offer the gold card",
                        "direction": "outgoing",
                        "phone_number": lead["phone"],
                        "regarding": {"type": "lead", "id": lead["id"]},
                        "parties": [{"role": "to", "party": {"type": "lead", "id": lead["id"]}}],
                    },
                )
                talked = {
                    "started_at": (ended - timedelta(minutes=7)).isoformat(),
                    "ended_at": ended.isoformat(),
                    "outcome": "Interested" if number < QUALIFIED else "Wants to think about it",
                }
                await seller.post(f"/phone-calls/{call['id']}/complete", talked)
                await seller.post(f"/leads/{lead['id']}/contact")
                if number == 0:
                    self.stage.say(f"{_lead_name(lead)}, 7 minutes: {talked['outcome']}")
                    await self.tell()
                counter.reach(number + 1)
        self.trail.changed.clear()
        self.stage.say(f"and {len(leads) - 1} more")

    async def qualify(
        self, seller: Person, leads: Sequence[dict[str, Any]]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Qualify the leads. Each becomes a deal, and a customer unless customers are created when deals are won."""
        qualified: list[dict[str, Any]] = []
        with self.stage.counting("leads", len(leads)) as counter:
            for number, lead in enumerate(leads):
                qualified.append(await seller.post(f"/leads/{lead['id']}/qualify", ANYBODY))
                if number == 0:
                    self.stage.say(f"{_lead_name(lead)} is qualified, and a deal worth {_worth(lead)} begins")
                    await self.tell()
                counter.reach(number + 1)
        self.trail.changed.clear()
        self.stage.say(f"and {len(leads) - 1} more")
        return qualified[0], qualified[1:]

    async def sell(self, seller: Person, heroine: dict[str, Any]) -> dict[str, Any]:
        """Sell six months of the card in the first deal. Return the invoice."""
        plan = await sale.stock(self.administrator, self.run, self.currency)
        await self.tell()
        invoice = await sale.sell(seller, heroine["opportunity_id"], plan)
        self.stage.say(sale.told(invoice))
        await self.tell()
        return invoice

    async def close(
        self, seller: Person, heroine: dict[str, Any], others: Sequence[dict[str, Any]], value: dict[str, str]
    ) -> list[dict[str, Any]]:
        """Move the first deal through every stage and win it at the value of its accepted quote.

        Win and lose some of the others, and leave the rest open.
        """
        stages = (await seller.get("/sales-stages?sort=position"))["items"]
        if len(stages) < 2:
            raise Refused("a funnel needs at least two sales stages")
        deal = f"/opportunities/{heroine['opportunity_id']}"
        for entered in stages[1:]:
            await seller.post(f"{deal}/advance", {"stage_id": entered["id"]})
        signed = {"note": "Signed at the counter", "actual_value": value, **ANYBODY}
        won = [await seller.post(f"{deal}/win", signed)]
        self.stage.say(f"{won[0]['name']}: won, {money(won[0]['actual_value'])}")
        await self.tell()
        for number, lead in enumerate(others):
            deal = f"/opportunities/{lead['opportunity_id']}"
            for entered in stages[1 : self.chance.randrange(2, len(stages) + 1)]:
                await seller.post(f"{deal}/advance", {"stage_id": entered["id"]})
            if number < WON - 1:
                won.append(await seller.post(f"{deal}/win", ANYBODY))
            elif number < WON - 1 + LOST:
                await seller.post(f"{deal}/lose", {"reason": "out_sold"})
        self.trail.changed.clear()
        self.stage.say(f"{len(won)} won and {LOST} lost, {len(others) + 1 - len(won) - LOST} on their way")
        return won

    async def follow_up(self, seller: Person, won: Sequence[dict[str, Any]]) -> None:
        """Show the task that activities created for OpportunityWon."""
        deal = won[0]
        page = await seller.get(f"/tasks?regarding.id={deal['id']}", after=_version("opportunity", deal))
        if len(page["items"]) != 1:
            raise Refused(f"{len(page['items'])} follow-up tasks for {deal['number']}, there must be one")
        [task] = page["items"]
        self.stage.say(f"“{task['subject']}”, due {task['due_at'][:10]}, for {task['owner_name']}")
        self.trail.note(_version("task", task))
        await self.tell()

    async def earned(self, marketer: Person, campaign: dict[str, Any], won: Sequence[dict[str, Any]]) -> None:
        """Show the figures of the campaign, which marketing computes from the events of sales."""
        path = f"/campaigns/{campaign['id']}/figures"
        figures = await marketer.get(path, after=", ".join(_version("opportunity", deal) for deal in won))
        if figures["won_count"] != len(won):
            raise Refused(f"{figures['won_count']} won deals in the figures, there must be {len(won)}")
        self.stage.figures(
            campaign["name"],
            {
                "leads": figures["leads"],
                "qualified": figures["qualified"],
                "opportunities": figures["opportunities"],
                "won": figures["won_count"],
                "won revenue": money(figures["won_revenue"]),
                "cost": money(figures["cost"]),
                "return on investment": "–" if figures["roi"] is None else percent(figures["roi"] * 100),
            },
        )

    async def complain(self, agent: Person, heroine: dict[str, Any], won: Sequence[dict[str, Any]]) -> None:
        """Create a case for the customer, hold, resume and resolve it. An activity rule creates the call-back."""
        customer = won[0]["customer"]
        known = await self.administrator.get(f"/{customer['type']}s/{customer['id']}")
        case = await agent.post(
            "/cases",
            {
                "title": "The bill for May is wrong",
                "customer": {"type": customer["type"], "id": customer["id"]},
                **({"contact_id": heroine["contact_id"]} if heroine["contact_id"] else {}),
                "type": "complaint",
                "origin": "phone",
                "priority": "high",
            },
            after=_version(customer["type"], known),
        )
        path = f"/cases/{case['id']}"
        for command in ("hold", "resume"):
            await agent.post(f"{path}/{command}")
        resolution = {"resolution": "The second fee was refunded.", "minutes": 25, "billable_minutes": 0}
        case = await agent.post(f"{path}/resolve", resolution)
        self.stage.say(f"{case['number']}, {case['title']}: {case['status']}, {case['status_reason']}")
        await self.tell()
        tasks = await agent.get(f"/tasks?regarding.id={case['id']}", after=_version("case", case))
        for task in tasks["items"]:
            self.stage.say(f"“{task['subject']}”, due {task['due_at'][:10]}, for {task['owner_name']}")

    async def everything(self, agent: Person, won: Sequence[dict[str, Any]]) -> None:
        """Show the customer 360."""
        customer = won[0]["customer"]["id"]
        view = await agent.get(f"/customers/{customer}/360")
        if missing := [name for name, part in view["parts"].items() if part["status"] != "ok"]:
            raise Refused(f"these parts of the customer cannot be had: {', '.join(missing)}")
        shown = view["customer"]
        rows: dict[str, object] = {view["type"]: f"{shown.get('name') or shown.get('full_name')}, {shown['tier']}"}
        for part in SHOWN:
            if (found := view.get(part)) is not None:
                rows[part] = _in_short(found["items"])
        self.stage.figures(f"GET /customers/{customer}/360", rows)

    async def tell(self) -> None:
        """Print the events in timelines since the last call."""
        self.stage.trail(await self.trail.tell(self.administrator))

    def money(self, amount: int) -> dict[str, str]:
        """Return an amount in base currency."""
        return {"amount": str(amount), "currency": self.currency}


def _names(people: Sequence[Prospect]) -> list[str]:
    return [person.name for person in people]


def _lead_name(lead: dict[str, Any]) -> str:
    return f"{lead['first_name']} {lead['last_name']}"


def _worth(lead: dict[str, Any]) -> str:
    return money(lead["estimated_value"])


def _version(entity: str, record: dict[str, Any]) -> str:
    return f"{entity}/{record['id']}@{record['version']}"


def _in_short(items: Sequence[dict[str, Any]]) -> str:
    names = [str(item.get("name") or item.get("full_name") or item.get("title") or item.get("topic")) for item in items]
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "") if names else "none"
