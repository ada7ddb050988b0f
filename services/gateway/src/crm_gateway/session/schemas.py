"""What a page sends to log in, and what it is told."""

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class LogIn(BaseModel):
    """The credentials of a user."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"email": "ada@example.org", "password": "correct horse battery staple"}]},
    )

    email: str = Field(min_length=1, max_length=254, description="E-mail address: the log-in name.")
    password: str = Field(min_length=1, max_length=256, description="Password.")


class SessionState(BaseModel):
    """Who is logged in, and until when."""

    id: UUID = Field(description="Id of the session in `GET /auth/sessions`.")
    began_at: AwareDatetime = Field(description="Time of the log-in.")
    expires_at: AwareDatetime = Field(description="When the session ends, however often it is used.")
    user: dict[str, Any] = Field(
        description="Who is logged in and what they may do, as `GET /auth/me` says.",
        json_schema_extra={"x-schema": "MeRead"},
    )
