"""What clients send about sales stages and what they get."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.types import Count, Percent, ShortText
from crm_kit.records.patch import Patch


class SalesStageCreate(BaseModel):
    """A new stage."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "negotiate", "position": 4, "probability": 75}]}
    )

    name: ShortText = Field(description="Name, unique, 1 to 200 characters.")
    position: Count = Field(description="Order among the stages, lowest first; a new deal starts in the first.")
    probability: Percent = Field(description="Default chance to win in percent, 0 to 100.")


class SalesStageUpdate(Patch, SalesStageCreate):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"probability": 80}]})
