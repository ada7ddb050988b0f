"""What people send about API clients and what they get."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.identity import ApiClientRecord
from crm_contracts.types import ShortText
from crm_kit.records.patch import Patch, optional


class ApiClientCreate(BaseModel):
    """A new API client; its roles grant at most what you hold yourself."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Data warehouse"}]})

    name: ShortText = Field(description="Name, 1 to 200 characters; unique.", examples=["Data warehouse"])
    business_unit_id: UUID | None = Field(None, description="Business unit of the client; yours unless given.")
    role_ids: list[UUID] = Field(default_factory=list, max_length=100, description="Security roles of the client.")


class ApiClientUpdate(Patch):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Warehouse, nightly"}]})

    name: ShortText = optional("Name, 1 to 200 characters; unique.")
    business_unit_id: UUID = optional("Business unit of the client; its records stay where they are.")
    role_ids: list[UUID] = Field(
        default_factory=list, max_length=100, description="Security roles of the client; replaces the list."
    )


class ApiClientRead(ApiClientRecord):
    """An API client as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class ApiClientSecret(ApiClientRead):
    """An API client with its new secret, which is never shown again."""

    secret: str = Field(
        description="`client_secret` of the token endpoint, where `client_id` is the `id`. Keep it: only its hash is kept"
        " here.",
        examples=["crm_6cJ1m6kB3qJt4nCq0v9hQ2yXf8sZr5wLd7eUaTgPo1E"],
    )
