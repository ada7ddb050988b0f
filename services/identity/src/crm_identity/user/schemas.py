"""What clients send about users and what they get."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from crm_contracts.identity import UserRecord
from crm_contracts.types import LoginEmail, Personal, ShortText
from crm_contracts.zones import TimeZone
from crm_identity.auth.passwords import NewPassword
from crm_identity.organization.schemas import Language
from crm_identity.user.domain import MAX_TEAMS
from crm_kit.records.patch import Patch, optional

EXAMPLE: JsonDict = {
    "email": "grace@example.org",
    "name": "Grace Hopper",
    "locale": "en-US",
    "time_zone": "America/New_York",
}


class UserFields(BaseModel):
    """The fields of a user that clients write."""

    model_config = ConfigDict(extra="forbid")

    team_ids: list[UUID] = Field(
        default_factory=list, max_length=MAX_TEAMS, description="Teams the user is in; replaces the list."
    )
    role_ids: list[UUID] = Field(
        default_factory=list,
        max_length=100,
        description="Security roles, in addition to those of the teams. Replaces the list.",
    )
    locale: Language | None = Field(None, description="BCP 47 language tag.")
    time_zone: TimeZone | None = Field(None, description="IANA time zone; null for the organisation's.")


class UserCreate(UserFields):
    """A new user. Without a password they cannot log in until `reset-password` gives them one."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    email: Personal[LoginEmail] = Field(description="E-mail address and log-in, in ASCII; unique whatever its case.")
    name: Personal[ShortText] = Field(description="Name, 1 to 200 characters.")
    business_unit_id: UUID | None = Field(None, description="Business unit of the user; yours unless given.")
    password: NewPassword | None = Field(
        None, description="12 to 256 characters that are not easy to guess; never shown again."
    )


class UserUpdate(Patch, UserFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Grace B. Hopper"}]})

    email: Personal[LoginEmail] = optional("E-mail address and log-in, in ASCII; unique.")
    name: Personal[ShortText] = optional("Name, 1 to 200 characters.")
    business_unit_id: UUID = optional("Business unit of the user; their records stay where they are.")


class UserRead(UserRecord):
    """A user as you may see them."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class PasswordReset(BaseModel):
    """A password chosen for somebody else."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"password": "correct horse battery staple"}]}
    )

    password: NewPassword = Field(description="12 to 256 characters that are not easy to guess; never shown again.")
