"""The small profile: one process per service does the work of API and worker."""

import json
from pathlib import Path

from crm_local.ports import choose
from crm_local.servers import Servers
from crm_local.suite import SERVICES
from tests.integration.suite import ADMINISTRATOR, Person, running


async def test_one_process_per_service_serves_consumes_and_is_replaced(servers: Servers, tmp_path: Path) -> None:
    with running(tmp_path / "home", choose(1)[0], servers, {"CRM_PROFILE": "small"}) as suite:
        names = {one["name"] for one in suite.status["services"]}
        assert names == {service.name for service in SERVICES}
        person = await Person.log_in(suite, ADMINISTRATOR, suite.environment["CRM_ADMIN_PASSWORD"])
        try:
            await _a_lead_reaches_its_timeline(person)
            assert "sales: the new process was ready" in suite.crm("restart", "sales", "activities")
            await _a_lead_reaches_its_timeline(person)
        finally:
            await person.close()
        assert json.loads(suite.crm("status", "--json"))["state"] == "ready"


async def _a_lead_reaches_its_timeline(person: Person) -> None:
    lead = await person.send("POST", "/leads", {"topic": "A card", "last_name": "Curie"}, status=201)
    # The relay of sales has published it and the consumer of activities has handled it, otherwise this would be a 503.
    timeline = await person.send("GET", f"/timeline?regarding={lead['id']}")
    assert "crm.sales.lead.created.v1" in {item["type"] for item in timeline["items"]}
