"""``GET /search``, composed from services that answer, make no sense or are down."""

from typing import Any

from .conftest import Start
from .scripted import Scripted, scripted

NOWHERE = "http://127.0.0.1:9"


def found(kind: str, at: str, rank: int) -> dict[str, Any]:
    return {"type": kind, "id": f"{kind} of {at}", "created_at": f"{at}T09:30:00Z", "rank": rank}


async def test_the_likeliest_records_of_all_services_come_first(start: Start, sales: Scripted) -> None:
    async with scripted() as service, scripted() as activities:
        sales.answers["/search"] = 200, {"items": [found("account", "2026-05-01", 4), found("lead", "2026-05-02", 1)]}
        service.answers["/search"] = 200, {"items": [found("case", "2026-05-03", 4)], "missing": ["note"]}
        activities.answers["/search"] = 200, ["no list"]
        urls = {"sales": sales.url, "service": service.url, "activities": activities.url, "marketing": NOWHERE}
        gateway = await start({**urls, "identity": NOWHERE})
        answer = await gateway.get("/api/v1/search?q=M%C3%BCller%20%26%20Co&limit=2")
    assert answer.status == 200
    assert [item["type"] for item in answer.json["items"]] == ["case", "account"]
    assert answer.json["missing"] == ["note"]
    parts = answer.json["parts"]
    assert {name: part["status"] for name, part in parts.items()} == {
        "sales": "ok",
        "service": "ok",
        "activities": "unavailable",
        "marketing": "unavailable",
    }
    assert parts["marketing"]["problem"]["type"] == "/problems/unavailable"
    assert parts["activities"]["problem"]["type"] == "/problems/upstream-failed"
    assert sales.seen == ["GET /api/v1/search?q=M%C3%BCller%20%26%20Co&limit=2"]
    assert (await gateway.as_token(None).get("/api/v1/search?q=a")).status == 401
    for query in ("", "?q=", f"?q={'a' * 201}", "?q=a&limit=0", "?q=a&limit=51"):
        assert (await gateway.get(f"/api/v1/search{query}")).status in (400, 422), query
    refused = await gateway.get("/api/v1/search?q=%00")
    assert (refused.status, refused.problem) == (400, "invalid-parameter")
