"""What clients send about the settings of sales."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales import CustomerCreation


class SalesSettingsUpdate(BaseModel):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"customer_creation": "on_win"}]})

    customer_creation: CustomerCreation = Field(
        CustomerCreation.ON_QUALIFY,
        description="`on_qualify` makes account and contact when a lead is qualified, `on_win` when its deal is won.",
    )
