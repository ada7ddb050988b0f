"""The story of one customer through all services, as a user of the gateway sees it, and its outcome."""

import asyncio
import csv
import io
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.integration.listening import Listener
from tests.integration.patience import Patient
from tests.integration.suite import Person, Suite
from tests.integration.trouble import Trouble

PEOPLE = [
    ("Ada", "Lovelace", "Analytical Engines Ltd", "ada@engines.example", "1200.00"),
    ("花子", "佐藤", "大和商事株式会社", "hanako@yamato.example", "2500.00"),
    ("小明", "王", "東方貿易有限公司", "xiaoming@dongfang.example", "800.50"),
    ("", "", "", "nobody@example.org", "1.00"),
]
MAPPING = {
    "Given name": "first_name",
    "Family name": "last_name",
    "Firm": "company_name",
    "Mail": "email",
    "Worth": "estimated_value.amount",
    "=EUR": "estimated_value.currency",
    "=Gold card": "topic",
    "=campaign": "source",
}
BOUNDARY = "story"


@dataclass
class Life:
    """The story so far: its users, its records by their names in the story, and its results."""

    person: Patient
    run: str
    trouble: Trouble
    records: dict[str, str] = field(default_factory=dict)
    """Name in the story → path."""
    outcome: dict[str, Any] = field(default_factory=dict)

    async def live(self) -> None:
        """Play all of it, from the campaign to the customer whose case is resolved."""
        await self.campaign()
        await self.leads()
        await self.call()
        await self.trouble.hung()
        await self.deal()
        await self.follow_up()
        await self.trouble.killed()
        await self.case()
        await self.trouble.over()
        await self.look_back()

    async def campaign(self) -> None:
        send, money = self.person.send, {"currency": "EUR"}
        body = {"name": f"Gold card {self.run}", "type": "direct_marketing", "other_cost": {"amount": "1500", **money}}
        made = await send("POST", "/campaigns", body, status=201)
        self.campaign_id = made["id"]
        path = self.records["campaign"] = f"/campaigns/{made['id']}"
        for command in ("ready", "launch"):
            made = await send("POST", f"{path}/{command}")
        assert made["status"] == "launched"

    async def leads(self) -> None:
        mapping = {**MAPPING, f"={self.campaign_id}": "campaign_id"}
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        await self.person.send("POST", "/leads/import", as_form(mapping), status=202, headers=headers)
        place = self.person.location.removeprefix("/api/v1")
        await self.trouble.killed()
        async with asyncio.timeout(120):
            while (job := await self.person.send("GET", place))["status"] != "completed":  # noqa: ASYNC110  # a job
                await asyncio.sleep(0.05)
        assert (job["total"], job["done"], job["failed"]) == (4, 3, 1)
        async with self.person.session.get(f"/api/v1{place}/errors") as answer:
            rows = list(csv.reader(io.StringIO(await answer.text())))
        self.outcome["refused"] = [row[:4] for row in rows]
        found = (await self.person.send("GET", f"/leads?campaign_id={self.campaign_id}&sort=last_name"))["items"]
        assert [lead["last_name"] for lead in found] == ["Lovelace", "佐藤", "王"]
        self.records |= {f"lead {number}": f"/leads/{lead['id']}" for number, lead in enumerate(found)}

    async def call(self) -> None:
        send, path = self.person.send, self.records["lead 1"]
        lead = {"type": "lead", "id": path.rpartition("/")[2]}
        parties = [{"role": "to", "party": lead, "address": "+81312345678"}]
        body = {"subject": "Offer the gold card", "regarding": lead, "parties": parties}
        # Activities receives leads by events. Crm-After makes the request wait for them.
        self.person.after = f"lead/{lead['id']}@1"
        call = await send("POST", "/phone-calls", body, status=201)
        self.records["call"] = f"/phone-calls/{call['id']}"
        talked = {"started_at": "2026-01-05T09:00:00Z", "ended_at": "2026-01-05T09:07:00Z", "outcome": "Interested"}
        called = await send("POST", f"/phone-calls/{call['id']}/complete", talked)
        assert called["duration_minutes"] == 7
        assert (await send("POST", f"{path}/contact"))["status_reason"] == "contacted"
        edited = await send("PATCH", path, {"rating": "hot"}, headers={"If-Match": '"2"'})
        assert (edited["version"], edited["rating"]) == (3, "hot")
        stale = await send("PATCH", path, {"rating": "cold"}, headers={"If-Match": '"2"'}, status=412)
        assert stale["type"] == "/problems/stale"

    async def deal(self) -> None:
        send = self.person.send
        lead = await send("POST", f"{self.records['lead 1']}/qualify", {"allow_duplicates": True})
        self.records |= {
            "account": f"/accounts/{lead['account_id']}",
            "contact": f"/contacts/{lead['contact_id']}",
            "deal": (path := f"/opportunities/{lead['opportunity_id']}"),
        }
        stages = (await send("GET", "/sales-stages?sort=position"))["items"]
        last = next(stage for stage in stages if stage["name"] == "propose")
        assert (await send("POST", f"{path}/advance", {"stage_id": last["id"]}))["stage"] == "propose"
        won = await send("POST", f"{path}/win", {})
        assert won["actual_value"] == {"amount": "2500.00", "currency": "EUR"}
        assert won["allowed_actions"] == ["reopen", "assign"]
        self.won = f"opportunity/{won['id']}@{won['version']}"
        await send("POST", f"{self.records['lead 2']}/disqualify", {"reason": "lost"})

    async def follow_up(self) -> None:
        self.person.after = self.won
        deal = self.records["deal"].rpartition("/")[2]
        [task] = (await self.person.send("GET", f"/tasks?regarding.id={deal}"))["items"]
        self.records["follow-up"] = f"/tasks/{task['id']}"
        self.outcome["figures"] = await self.person.send("GET", f"{self.records['campaign']}/figures")

    async def case(self) -> None:
        send, account = self.person.send, self.records["account"].rpartition("/")[2]
        contact = self.records["contact"].rpartition("/")[2]
        customer = {"type": "account", "id": account}
        body = {"title": "The bill", "customer": customer, "contact_id": contact, "type": "complaint"}
        self.person.after = f"account/{account}@1, contact/{contact}@1"
        case = await send("POST", "/cases", body, status=201)
        path = self.records["case"] = f"/cases/{case['id']}"
        for command in ("hold", "resume"):
            await send("POST", f"{path}/{command}")
        resolution = {"resolution": "The second fee was refunded.", "minutes": 25, "billable_minutes": 0}
        resolved = await send("POST", f"{path}/resolve", resolution)
        assert resolved["status"] == "resolved"
        self.person.after = f"case/{case['id']}@{resolved['version']}"
        [task] = (await send("GET", f"/tasks?regarding.id={case['id']}"))["items"]
        self.records["call-back"] = f"/tasks/{task['id']}"

    async def look_back(self) -> None:
        """Read every record, the figures, the funnel and the customer, after all services have handled all events."""
        send, outcome = self.person.send, self.outcome
        self.person.after = ""
        last: dict[str, str] = {}
        for name, path in self.records.items():
            record = outcome[name] = await send("GET", path)
            entity = {"deal": "opportunity", "call": "phone_call"}.get(name, name.partition(" ")[0])
            last[name] = (
                f"{'task' if entity in ('follow-up', 'call-back') else entity}/{record['id']}@{record['version']}"
            )
        self.person.after = ", ".join(last[name] for name in ("lead 0", "lead 1", "lead 2", "deal"))
        outcome["figures in the end"] = await send("GET", f"{self.records['campaign']}/figures")
        owner = outcome["deal"]["owner_id"]
        outcome["funnel"] = await send("GET", f"/funnel?owner_id={owner}")
        self.person.after = ", ".join(version for name, version in last.items() if name not in ("lead 0", "lead 2"))
        async with asyncio.timeout(120):
            while True:
                view = await send("GET", f"/customers/{outcome['account']['id']}/360")
                if all(part["status"] == "ok" for part in view["parts"].values()):
                    break
                await asyncio.sleep(0.1)
        view["timeline"] = sorted(item["type"] for item in view["timeline"]["items"])
        outcome["customer"] = view
        story = (await send("GET", f"/timeline?regarding={outcome['lead 1']['id']}&limit=50"))["items"]
        outcome["timeline"] = sorted(item["type"] for item in story)

    @property
    def versions(self) -> dict[str, int]:
        """Return the last version of each record, by id."""
        return {self.outcome[name]["id"]: self.outcome[name]["version"] for name in self.records}


async def told(suite: Suite, administrator: Person, service: str = "") -> dict[str, Any]:
    """Play a story, during which a service may be in trouble.

    Return its outcome in a form that is equal for all stories.
    """
    run = secrets.token_hex(4)
    listener = await Listener.start(suite, f"archive-{run}")
    roles = (await administrator.send("GET", "/security-roles"))["items"]
    [role] = [role["id"] for role in roles if role["name"] == "Administrator"]
    password = secrets.token_urlsafe(16)
    email = f"{run}@example.org"
    hired = {"email": email, "name": "Seller", "password": password, "role_ids": [role]}
    await administrator.send("POST", "/users", hired, status=201)
    person = await Patient.log_in(suite, email, password)
    assert isinstance(person, Patient)
    life = Life(person, run, Trouble(suite, service))
    try:
        await life.live()
    finally:
        await life.trouble.healed()
        await person.close()
    heard = await listener.hears(life.versions)
    of = {life.outcome[name]["id"]: name for name in life.records}
    life.outcome["events"] = {of[id_]: events for id_, events in heard.items()}
    names = {run: "run"}
    return {name: normal(what, names) for name, what in sorted(life.outcome.items())}


VARYING = re.compile(r"seconds|as_of|href|etag")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|\+00:00)")
NUMBER = re.compile(r"\b([A-Z]{3})-\d{5,}\b")


def normal(value: Any, names: dict[str, str]) -> Any:
    """Return it without what differs between stories: ids are numbered in order, times and numbers are blanked."""
    if isinstance(value, dict):
        return {key: normal(value[key], names) for key in sorted(value) if not VARYING.search(key)}
    if isinstance(value, list | tuple):
        return [normal(one, names) for one in value]
    if not isinstance(value, str):
        return value
    for name, label in names.items():
        if not UUID.fullmatch(name):
            value = value.replace(name, label)
    value = UUID.sub(lambda found: names.setdefault(found[0], f"id {len(names)}"), value)
    return NUMBER.sub(r"\1-n", TIME.sub("time", value))


def as_form(mapping: dict[str, str]) -> bytes:
    """Return the file and its mapping as a multipart form that has the same bytes at every attempt."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["Given name", "Family name", "Firm", "Mail", "Worth"])
    writer.writerows(PEOPLE)
    parts = (
        ('name="mapping"', "application/json", json.dumps(mapping)),
        ('name="file"; filename="leads.csv"', "text/csv", text.getvalue()),
    )
    form = "".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: {kind}\r\n\r\n{content}\r\n"
        for name, kind, content in parts
    )
    return f"{form}--{BOUNDARY}--\r\n".encode()
