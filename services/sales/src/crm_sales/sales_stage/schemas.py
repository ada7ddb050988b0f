"""What clients send about sales stages and what they get."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.types import Count, Percent, ShortText


class SalesStageCreate(BaseModel):
    """A new stage."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "negotiate", "position": 4, "probability": 75}]}
    )

    name: ShortText = Field(description="Name, unique, 1 to 200 characters.")
    position: Count = Field(description="Order among the stages, lowest first; a new deal starts in the first.")
    probability: Percent = Field(description="Default chance to win in percent, 0 to 100.")


class SalesStageUpdate(BaseModel):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"probability": 80}]})

    name: ShortText = Field("", description="Name, unique, 1 to 200 characters.", validate_default=False)
    position: Count = Field(0, description="Order among the stages, lowest first.")
    probability: Percent = Field(Decimal(0), description="Default chance to win in percent, 0 to 100.")
