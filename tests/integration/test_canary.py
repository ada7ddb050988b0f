"""No log, span, metric or problem document contains a personal value, whatever users do."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg
import pytest

from crm_contracts.catalogue import Entity, entity_for
from crm_contracts.types import personal_fields
from crm_identity.security_role.domain import DEFAULT_ROLES
from crm_local.servers import Servers
from crm_local.suite import SERVICES, in_database
from tests.integration.canary import Canary, entities_with_people, is_reference
from tests.integration.collector import Collector
from tests.integration.suite import Person, Suite
from tests.integration.traced import Traced, traced

SALESPERSON = str(next(role.id for role in DEFAULT_ROLES if role.name == "Salesperson"))
MAPPING = {"First": "first_name", "Last": "last_name", "Mail": "email", "Tel": "phone", "Born": "birth_date"}


CHOSEN = frozenset({"gender", "sender", "delivery_answer", "undelivered.address", "undelivered.answer"})
"""Fields with one of a few common values, which are not unique, and what mail servers answer."""


@dataclass
class Cage:
    """Works with records of people, and keeps every problem document that it receives."""

    person: Person
    canary: Canary = field(default_factory=Canary)
    problems: list[dict[str, Any]] = field(default_factory=list)
    sung: set[str] = field(default_factory=set)

    async def send(self, method: str, path: str, body: Any = None, **wanted: Any) -> dict[str, Any]:
        answer = await self.person.send(method, path, body, **wanted)
        self.keep(answer)
        return answer

    async def fails(self, method: str, path: str, body: Any = None, **options: Any) -> str:
        """Send a request that must be refused. Return the slug."""
        async with self.person.session.request(method, f"/api/v1{path}", json=body, **options) as answer:
            text = await answer.text()
            assert 400 <= answer.status < 500, f"{method} {path}: {answer.status} {text[:500]}"
            problem: dict[str, Any] = json.loads(text)
        self.keep(problem)
        return str(problem["type"]).removeprefix("/problems/")

    def keep(self, answer: dict[str, Any]) -> None:
        if str(answer.get("type", "")).startswith("/problems/"):
            # The path is that of the caller, and identifies the request.
            self.problems.append({**answer, "instance": ""})

    async def made(self, name: str, path: str, /, **fields: Any) -> dict[str, Any]:
        """Create a record with a canary in each personal field. Each must be there when it is read again."""
        entity = entity_for(name)
        assert isinstance(entity, Entity)
        return self.heard(entity, await self.send("POST", path, {**self.canary.of(entity), **fields}, status=201))

    def heard(self, entity: Entity, record: dict[str, Any]) -> dict[str, Any]:
        """Return the record after checking that each personal field contains a canary."""
        for place in personal_fields(entity.record):
            if not is_reference(place) and place not in CHOSEN:
                assert self.canary.sings_in(record, place), (
                    f"{entity.name}.{place} has no canary: teach tests how to set it"
                )
        self.sung.add(entity.name)
        return record


@pytest.fixture
def own(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A separate suite, because it receives events of unknown records, and other tests recount the shared one."""
    with traced(servers, tmp_path_factory.mktemp("canary") / "home") as suite:
        yield suite


@pytest.fixture
def suite(own: Traced) -> Suite:
    """That suite."""
    return own.suite


@pytest.fixture
def collector(own: Traced) -> Collector:
    """The collector of its spans."""
    return own.collector


async def test_no_personal_value_reaches_logs_spans_metrics_or_problems(
    suite: Suite, administrator: Person, collector: Collector, servers: Servers
) -> None:
    cage = Cage(administrator)
    await users(suite, cage)
    await prospects(cage)
    await refusals(cage)
    await an_import(cage)
    await poison(suite, cage)
    await settled(suite, cage.person)

    assert cage.sung == entities_with_people(), "an entity with personal fields that this does not make"
    assert {problem["type"] for problem in cage.problems} >= {
        "/problems/validation",
        "/problems/possible-duplicates",
        "/problems/already-exists",
        "/problems/invalid-grant",
        "/problems/stale",
        "/problems/invalid-parameter",
    }
    assert [problem for problem in cage.problems if cage.canary.heard_in(json.dumps(problem, ensure_ascii=False))] == []
    assert await in_spans(collector, cage) == []
    assert await in_metrics(suite, cage) == {}
    assert in_logs([*logs_of(suite), *logs_of_servers(servers)], cage) == {}


async def users(suite: Suite, cage: Cage) -> None:
    password = secrets.token_urlsafe(16)
    fields = {"password": password, "role_ids": [SALESPERSON]}
    user = await cage.made("user", "/users", **fields)
    assert await cage.fails("POST", "/users", {**fields, "email": user["email"], "name": user["name"]})
    assert await cage.fails("POST", "/users", {**fields, "email": cage.canary.word(), "name": 7}) == "validation"
    await cage.send("PATCH", f"/users/{user['id']}", {"name": cage.canary.word()}, headers={"If-Match": "*"})
    for name, secret in ((user["email"], cage.canary.word()), (cage.canary.email(), password)):
        form = {"grant_type": "password", "username": name, "password": secret}
        async with cage.person.session.post("/api/v1/auth/token", data=form) as answer:
            assert answer.status == 400
            cage.keep(await answer.json())
    await (await Person.log_in(suite, user["email"], password)).close()
    leaver = await cage.made("user", "/users", **{**fields, "password": secrets.token_urlsafe(16)})
    place = f"/users/{leaver['id']}?transfer_to={user['id']}"
    removal = await cage.send("DELETE", place, headers={"If-Match": "*"}, status=202)
    entity = entity_for("principal_removal")
    assert isinstance(entity, Entity)
    cage.heard(entity, removal)


async def prospects(cage: Cage) -> None:
    canary, send = cage.canary, cage.send
    lead = await cage.made("lead", "/leads", topic="Gold card", company_name=canary.word())
    path = f"/leads/{lead['id']}"
    changes = {"last_name": canary.word(), "email": canary.email(), "address": canary.address()}
    await send("PATCH", path, changes, headers={"If-Match": '"1"'})
    assert await cage.fails("PATCH", path, {"last_name": canary.word()}, headers={"If-Match": '"1"'}) == "stale"
    contact = await cage.made("contact", "/contacts")
    twin = {"topic": "Gold card", **{name: contact[name] for name in ("first_name", "last_name", "email", "phone")}}
    again = await send("POST", "/leads", twin, status=201)
    assert await cage.fails("POST", f"/leads/{again['id']}/qualify", {}) == "possible-duplicates"
    qualified = await send("POST", f"{path}/qualify", {"allow_duplicates": True})
    await send("POST", f"/opportunities/{qualified['opportunity_id']}/win", {"actual_value": None}, status=422)
    party = {"role": "to", "address": canary.phone(), "name": canary.word()}
    regarding = {"type": "contact", "id": contact["id"]}
    call = await cage.made("phone_call", "/phone-calls", subject="Offer", regarding=regarding, parties=[party])
    await send("POST", f"/phone-calls/{call['id']}/complete", {})
    await correspondence(cage, regarding)
    customer = {"type": "contact", "id": contact["id"]}
    case = await send("POST", "/cases", {"title": "The bill", "customer": customer}, status=201)
    await send("POST", f"/cases/{case['id']}/resolve", {"resolution": "Refunded", "minutes": 1, "billable_minutes": 0})
    await paperwork(cage, customer)
    await send("GET", f"/customers/{contact['id']}/360")
    await send("GET", f"/leads?q={contact['last_name']}")


async def correspondence(cage: Cage, regarding: dict[str, Any]) -> None:
    """Write a mail, a letter and a fax, and arrange meetings."""
    canary = cage.canary

    def party(role: str, address: str) -> dict[str, Any]:
        return {"role": role, "address": address, "name": canary.word()}

    about = {"subject": "Offer", "regarding": regarding}
    mail = entity_for("email")
    assert mail is not None
    body = {**about, "parties": [party("to", canary.email())], "text": canary.word()}
    cage.heard(mail, await cage.send("POST", "/emails", body, status=201))
    await cage.made("letter", "/letters", **about, parties=[party("to", canary.word())])
    await cage.made("fax", "/faxes", **about, parties=[party("to", canary.phone())])
    times = {"scheduled_start_at": "2096-12-08T09:00:00Z", "scheduled_end_at": "2096-12-08T10:00:00Z"}
    guests = [party("required", canary.email())]
    await cage.made("appointment", "/appointments", **about, **times, parties=guests)
    await cage.made(
        "recurring_appointment", "/recurring-appointments", **about, **times, rule="FREQ=DAILY", parties=guests
    )


async def paperwork(cage: Cage, customer: dict[str, Any]) -> None:
    """Create documents with postal addresses: quotes, orders, invoices."""
    line = {"name": "Gold card", "quantity": "1", "unit_price": {"amount": "20.00", "currency": "EUR"}}
    fields = {"name": "Gold card", "customer": customer, "lines": [line]}
    for name, path in (("quote", "/quotes"), ("order", "/orders")):
        record = await cage.made(name, path, **fields)
        wrong = {"bill_to": {"line1": cage.canary.word() * 40}}
        assert await cage.fails("PATCH", f"{path}/{record['id']}", wrong, headers={"If-Match": "*"}) == "validation"
    bill = entity_for("invoice")
    assert bill is not None
    invoice = await cage.send("POST", "/invoices", {**cage.canary.of(bill), **fields}, status=201)
    path = f"/invoices/{invoice['id']}"
    await cage.send("POST", f"{path}/issue")
    payment = {"amount": {"amount": "20.01", "currency": "EUR"}, "method": "cash", "reference": cage.canary.word()}
    assert await cage.fails("POST", f"{path}/pay", payment) == "overpayment"
    payment["amount"] = {"amount": "20.00", "currency": "EUR"}
    cage.heard(bill, await cage.send("POST", f"{path}/pay", payment))


async def refusals(cage: Cage) -> None:
    canary, contact, lead = cage.canary, entity_for("contact"), entity_for("lead")
    assert contact is not None
    assert lead is not None
    for entity, path, more in ((contact, "/contacts", {}), (lead, "/leads", {"topic": "Gold card"})):
        good = canary.of(entity)
        wrong: list[dict[str, Any]] = [{name: canary.word() * 40} for name in good] + [
            {name: [canary.word()]} for name in good
        ]
        wrong += [{"address": {"line1": canary.word(), "country": canary.word()}}, {"phone": canary.phone()[:4] + "x"}]
        for one in wrong:
            assert await cage.fails("POST", path, {**more, **good, **one}) in ("validation", "invalid-phone"), one
        for name in ("birth_date", "created_at", "owner_id"):
            assert await cage.fails("GET", f"{path}?{name}={canary.word()}")
            assert await cage.fails(
                "POST", f"{path}/query", {"filter": {"field": name, "op": "eq", "value": canary.word()}}
            )
        assert await cage.fails("GET", f"{path}?limit={canary.word()}") == "invalid-parameter"
        assert await cage.fails("GET", f"{path}?after={canary.word()}")
        assert await cage.fails("GET", f"{path}/{canary.email()}") == "not-found"
        assert await cage.fails("GET", path, headers={"Crm-After": f"lead/{canary.word()}@1"})
        assert await cage.fails("PATCH", f"{path}/{uuid4()}", {}, headers={"If-Match": canary.word()})
    async with cage.person.session.post("/api/v1/leads", data=b'{"last_name": "' + canary.word().encode()) as answer:
        assert answer.status in (400, 415)
        cage.keep(await answer.json())
    assert await cage.fails("GET", "/leads", headers={"Authorization": f"Bearer {canary.word()}"}) == "token-invalid"


async def an_import(cage: Cage) -> None:
    canary = cage.canary

    def row(**wrong: str) -> str:
        good = {"First": canary.word(), "Last": canary.word(), "Mail": canary.email(), "Tel": canary.phone()}
        return ",".join({**good, "Born": canary.birth_date(), **wrong}.values())

    bad = [row(Mail=canary.word()), row(Tel=canary.word()), row(Born=canary.word()), row(First=canary.word() * 40)]
    file = "\n".join([",".join(MAPPING), row(), *bad, row()])
    form = aiohttp.FormData({"mapping": json.dumps({**MAPPING, "=Gold card": "topic"}), "duplicates": "report"})
    form.add_field("file", file.encode(), filename="leads.csv", content_type="text/csv")
    await cage.person.send("POST", "/leads/import", form, status=202)
    place = cage.person.location.removeprefix("/api/v1")
    async with asyncio.timeout(120):
        while (job := await cage.send("GET", place))["status"] != "completed":  # noqa: ASYNC110  # a job is asked
            await asyncio.sleep(0.05)
    assert (job["done"], job["failed"]) == (2, len(bad))
    form = aiohttp.FormData({"mapping": json.dumps({"No such column": "last_name"})})
    form.add_field("file", file.encode()[:60], filename="leads.csv", content_type="text/csv")
    cage.keep(await cage.person.send("POST", "/leads/import", form, status=422))


async def poison(suite: Suite, cage: Cage) -> None:
    """Send events that no handler can handle: one that violates its contract, one that is no event, one that is not
    JSON, and one that no service can have sent."""
    subject, word, type_ = str(uuid4()), cage.canary.word(), "crm.sales.opportunity.won.v1"
    envelope = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/crm/sales",
        "type": type_,
        "subject": subject,
        "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": "/schemas/crm.sales.opportunity.won.v1.json",
        "entityversion": 1,
        "actor": str(uuid4()),
        "correlationid": str(uuid4()),
        "data": {"record": {"id": subject, "version": 1, "name": word, "customer": word}, "changed": {}},
    }
    bodies = [json.dumps(envelope), json.dumps({**envelope, "id": word, "subject": word}), f"{{{word}"]
    connection = await aio_pika.connect(suite.status["amqp_url"])
    async with connection:
        channel = await connection.channel()
        events = await channel.get_exchange("crm.events")
        for body in bodies:
            message = aio_pika.Message(body.encode(), type=type_, headers={"type": type_, "source": "/crm/sales"})
            await events.publish(message, type_)
        forged = aio_pika.Message(bodies[0].replace(subject, str(uuid4())).encode(), type=type_)
        await channel.default_exchange.publish(forged, "crm.activities.inbox")
    database = in_database(suite.status["database_url"], f"{suite.status['instance']}_crm_activities")
    activities = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(120):
            counted = "select count(distinct event_id) from inbox where state = 'parked'"
            while await activities.fetchval(counted) <= len(bodies):  # noqa: ASYNC110  # nothing tells that it is parked
                await asyncio.sleep(0.05)
        errors = await activities.fetch("select last_error from inbox where state = 'parked'")
    finally:
        await activities.close()
    assert not cage.canary.heard_in(str(errors))


async def settled(suite: Suite, person: Person) -> None:
    """Wait until all services have handled or stored all published events."""
    lead = await person.send("POST", "/leads", {"topic": "The last", "last_name": "Marker"}, status=201)
    person.after = f"lead/{lead['id']}@1"
    for path in (f"/timeline?regarding={lead['id']}", "/funnel"):
        await person.send("GET", path)


async def in_spans(collector: Collector, cage: Cage) -> list[list[str]]:
    async with cage.person.session.get("/api/v1/leads?limit=1") as answer:
        trace = answer.headers["traceparent"].split("-")[1]
    spans = await asyncio.to_thread(collector.until, trace, lambda found: len(found) == 2)
    assert len(spans) == 2
    assert len(collector.bodies) > 10
    return [heard for body in collector.bodies if (heard := cage.canary.heard_in(body))]


async def in_metrics(suite: Suite, cage: Cage) -> dict[str, list[str]]:
    found = {}
    for service in suite.status["services"]:
        async with aiohttp.request("GET", service["metrics_url"]) as answer:
            text = await answer.text()
        assert "crm_" in text, service["name"]
        found[service["name"]] = cage.canary.heard_in(text)
    return {name: heard for name, heard in found.items() if heard}


def logs_of(suite: Suite) -> list[Path]:
    logs = sorted((Path(suite.status["home"]) / "log").glob("*.log*"))
    assert len(logs) >= 2 * len(SERVICES)
    parked = [json.loads(line) for log in logs for line in log.read_text().splitlines() if '"inbox.failed"' in line]
    mine = [line for line in parked if line["event_type"] == "crm.sales.opportunity.won.v1"]
    assert mine, "the failure of a handler is told"
    for line in mine:
        assert line.keys() >= {"event_id", "correlation_id", "trace_id", "group", "service", "role", "level"}
    return logs


def logs_of_servers(servers: Servers) -> list[Path]:
    """Return the logs of PostgreSQL and RabbitMQ, if they are our own."""
    return sorted(log for directory in servers.directories for log in directory.glob("*.log"))


def in_logs(logs: list[Path], cage: Cage) -> dict[str, list[str]]:
    return {log.name: heard for log in logs if (heard := cage.canary.heard_in(log.read_bytes()))}
