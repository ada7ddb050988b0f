"""What a declared copy reads of an event, and what becomes of what cannot be read."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from crm_contracts.envelope import Envelope, dataschema_of
from crm_kit import clock
from crm_kit.copies.declaring import fields, ids, optional, text
from crm_kit.events.consumers import Unprocessable
from crm_kit.store.record import new_id

READ = fields(owner_id=UUID, status=text, closed_at=optional(datetime.fromisoformat), team_ids=ids)
GOOD: dict[str, Any] = {
    "owner_id": "01a22cc3-81c1-74f0-be24-a084c4ae9e36",
    "status": "open",
    "closed_at": None,
    "team_ids": [],
    "topic": "left out",
}


def event(record: dict[str, Any]) -> Envelope:
    envelope = Envelope(
        id=new_id(),
        source="/crm/mini",
        type="crm.mini.thing.created.v1",
        subject=new_id(),
        time=clock.now(),
        dataschema=dataschema_of("crm.mini.thing.created.v1"),
        entityversion=1,
        actor="system:mini",
        correlationid=str(new_id()),
        data={},
    )
    return replace(envelope, data={"record": record, "changed": {}})


def test_fields_are_read_and_no_others() -> None:
    expected = {"owner_id": UUID(GOOD["owner_id"]), "status": "open", "closed_at": None, "team_ids": []}
    assert READ(event(GOOD)) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [("owner_id", "no id"), ("owner_id", None), ("status", 7), ("closed_at", "soon"), ("team_ids", ["no id"])],
)
def test_what_cannot_be_read_names_its_field_and_not_its_value(field: str, value: object) -> None:
    with pytest.raises(Unprocessable, match=f"data.record has no {field}") as told:
        READ(event({**GOOD, field: value}))
    assert "soon" not in str(told.value)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Unprocessable, match="status"):
        READ(event({name: value for name, value in GOOD.items() if name != "status"}))
