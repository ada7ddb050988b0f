"""What clients send about business units and what they get."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from crm_contracts.types import ShortText
from crm_kit.records.patch import Patch, optional

# The parent is the root unit that every installation has, so the example works as it stands.
EXAMPLE: JsonDict = {"name": "Vienna", "parent_id": "0190a000-0000-7000-8000-000000000002"}


class BusinessUnitCreate(BaseModel):
    """A new unit below another."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Vienna"])
    parent_id: UUID = Field(description="Parent unit.")


class BusinessUnitUpdate(Patch):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Vienna and Graz"}]})

    name: ShortText = optional("Name, 1 to 200 characters.")
    parent_id: UUID | None = Field(None, description="Parent unit; the root has none and cannot get one.")
