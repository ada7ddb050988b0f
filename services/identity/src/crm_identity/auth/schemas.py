"""What the token endpoint and its neighbours answer."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.access import EntityPrivileges
from crm_identity.auth.passwords import NewPassword


class TokenRead(BaseModel):
    """Tokens (RFC 6749 §5.1)."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["Bearer"] = Field(description="Always Bearer.")
    expires_in: int = Field(description="Seconds for which the access token is valid, at most 600.")
    refresh_token: str | None = Field(
        None,
        description="Valid for one refresh, which returns the next one. API clients get none; they request a new token.",
    )
    refresh_expires_in: int | None = Field(
        None, description="Seconds until the session ends, however often it is refreshed. API clients get none."
    )
    session_id: UUID | None = Field(
        None, description="Id of the session in `GET /auth/sessions`. API clients get none."
    )


class KeySet(BaseModel):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, Any]] = Field(description="Ed25519 keys (RFC 8037), each with its `kid`.")


class NamedRecord(BaseModel):
    """Something with a name."""

    id: UUID = Field(description="Id of the record.")
    name: str | None = Field(description="Its name; null when it is not known here yet.")


class MeRead(BaseModel):
    """Who you are and what you may do, as your token says."""

    id: UUID = Field(description="Your id.")
    kind: Literal["user", "client"] = Field(description="`user` or `client`.")
    name: str | None = Field(description="Your name.")
    email: str | None = Field(description="Your log-in; null for an API client.")
    locale: str | None = Field(description="BCP 47 language tag; null for the organisation's.")
    time_zone: str | None = Field(description="IANA time zone; null for the organisation's.")
    business_unit: NamedRecord = Field(description="Your business unit.")
    teams: list[NamedRecord] = Field(description="Your teams.")
    privileges: dict[str, EntityPrivileges] = Field(description="How far each privilege reaches, by entity.")


class PasswordChange(BaseModel):
    """A new password for yourself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"current_password": "correct horse battery staple", "new_password": "seven quiet otters read maps"}
            ]
        },
    )

    current_password: str = Field(max_length=256, description="The password you have.")
    new_password: NewPassword = Field(description="12 to 256 characters that are not easy to guess.")
