"""What people see of their sessions."""

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class SessionRead(BaseModel):
    """A session that has not ended: one log-in, with all its refreshes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f",
                    "user_id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e70",
                    "began_at": "2026-05-04T09:30:00Z",
                    "last_used_at": "2026-05-04T11:20:00Z",
                    "expires_at": "2026-06-03T09:30:00Z",
                    "address": "203.0.113.7",
                    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                }
            ]
        }
    )

    id: UUID = Field(description="Id of the session.")
    user_id: UUID = Field(description="Whose it is.")
    began_at: AwareDatetime = Field(description="Time of the log-in.")
    last_used_at: AwareDatetime = Field(
        description="Time of the last refresh. A session in use is refreshed about every ten minutes."
    )
    expires_at: AwareDatetime = Field(description="When it ends, however often it is refreshed.")
    address: str | None = Field(description="Network address of the last refresh; null if it is not known.")
    user_agent: str | None = Field(
        description="The program of the last refresh in its own words; null if it is not known."
    )
