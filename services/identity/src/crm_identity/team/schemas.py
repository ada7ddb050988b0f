"""What clients send about teams and what they get."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.types import ShortText
from crm_kit.records.patch import Patch, optional


class TeamCreate(BaseModel):
    """A new team; its members are named on the users (`team_ids`)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Key accounts"}]})

    name: ShortText = Field(description="Name, 1 to 200 characters; unique.", examples=["Key accounts"])
    business_unit_id: UUID | None = Field(None, description="Business unit of the team; yours unless given.")
    role_ids: list[UUID] = Field(default_factory=list, max_length=100, description="Roles that every member gets.")


class TeamUpdate(Patch):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Large accounts"}]})

    name: ShortText = optional("Name, 1 to 200 characters; unique.")
    business_unit_id: UUID = optional("Business unit of the team; its records stay where they are.")
    role_ids: list[UUID] = Field(
        default_factory=list, max_length=100, description="Roles that every member gets; replaces the list."
    )
