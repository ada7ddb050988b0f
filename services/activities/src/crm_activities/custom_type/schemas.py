"""What clients send about types of custom activities and what they get."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from crm_contracts.activities.activity_type import ActivityTypeRecord
from crm_contracts.types import LongText, Maybe, ShortText
from crm_kit.records.patch import Patch, optional

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Labels = Annotated[dict[Literal["en", "ja", "zh-Hans", "zh-Hant"], ShortText], Field(min_length=1)]

LABELS = "Name for people, in at least one of the languages `en`, `ja`, `zh-Hans`, `zh-Hant`."
SCHEMA = (
    "JSON Schema 2020-12 with `type: object`, without references: at most 32,768 bytes, 8 levels, 200 parts and 20 patterns."
    " `x-labels` of a property is its name by language."
)
VISIT: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "branch": {"type": "string", "maxLength": 100, "x-labels": {"en": "Branch", "ja": "支店"}},
        "visited_on": {"type": "string", "format": "date"},
        "visitors": {"type": "integer", "minimum": 1},
        "outcome": {"enum": ["satisfied", "follow_up"]},
    },
    "required": ["branch"],
    "additionalProperties": False,
}


class ActivityTypeFields(BaseModel):
    """The fields of a type that may be left out."""

    model_config = ConfigDict(extra="forbid")

    description: Maybe[LongText] = Field(None, description="What the type is for, at most 32,000 characters.")


class ActivityTypeCreate(ActivityTypeFields):
    """A new type, as a draft."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "site_visit", "labels": {"en": "Site visit", "ja": "現地訪問"}, "values_schema": VISIT}
            ]
        }
    )

    name: Slug = Field(
        description="Name for programs, unique, which never changes: a lower-case letter, then letters, digits and `_`,"
        " 50 characters at most."
    )
    labels: Labels = Field(description=LABELS)
    values_schema: dict[str, Any] = Field(description=SCHEMA)


class ActivityTypeUpdate(Patch, ActivityTypeFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field. `labels` is replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": {"en": "Visit on site"}}]})

    labels: Labels = optional(LABELS)


class Publish(BaseModel):
    """A new version of the schema of a type."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"values_schema": VISIT}]})

    values_schema: dict[str, Any] = Field(description=SCHEMA)


class ActivityTypeRead(ActivityTypeRecord):
    """A type of custom activities as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
