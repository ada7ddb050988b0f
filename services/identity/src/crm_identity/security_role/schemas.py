"""What clients send about security roles and what they get."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.access import EntityPrivileges
from crm_contracts.types import EntityName, ShortText
from crm_kit.records.patch import Patch, optional

PRIVILEGES = (
    "How far each privilege reaches, by entity: none, user, business_unit, deep or organization. Records without an"
    " owner know only none and organization. An entity that is not named is out of reach. A right such as"
    " `credit_override` is granted under its own name by `write`, for records of owners within that depth."
)


class SecurityRoleCreate(BaseModel):
    """A new role; it grants at most what you hold yourself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Lead reader", "privileges": {"lead": {"read": "business_unit"}}}],
        },
    )

    name: ShortText = Field(description="Name, 1 to 200 characters; unique.")
    privileges: dict[EntityName, EntityPrivileges] = Field(default_factory=dict, max_length=200, description=PRIVILEGES)


class SecurityRoleUpdate(Patch):
    """A merge patch (RFC 7396): within `privileges` an absent entity stays unchanged, null removes all its privileges."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"privileges": {"lead": {"read": "deep"}, "account": None}}]}
    )

    name: ShortText = optional("Name, 1 to 200 characters; unique.")
    privileges: dict[EntityName, EntityPrivileges | None] = Field(
        default_factory=dict, max_length=200, description=PRIVILEGES
    )
