"""What clients send about feeds and what they get."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.types import UtcDatetime


class CalendarFeedCreate(BaseModel):
    """Whose appointments the feed has."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    team_id: UUID | None = Field(None, description="A team to which you belong; null for your own appointments.")


class CalendarFeedRead(BaseModel):
    """A feed, without its secret."""

    owner_type: Literal["user", "team"] = Field(description="`user` or `team`.")
    owner_id: UUID = Field(description="Whose appointments it has.")
    created_at: UtcDatetime = Field(description="When its link was made.")


class CalendarFeedLink(CalendarFeedRead):
    """A feed with its secret link, which is shown once."""

    path: str = Field(
        description="Path of the feed at the gateway. Whoever knows it can read the feed; it is shown only now.",
        examples=["/api/v1/calendars/pR3…q9.ics"],
    )


class CalendarFeeds(BaseModel):
    """Your feed and those of your teams."""

    items: list[CalendarFeedRead] = Field(description="One at most for you and for each of your teams.")
