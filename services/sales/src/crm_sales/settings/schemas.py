"""What clients send about the settings of sales."""

from pydantic import ConfigDict

from crm_contracts.sales.choices import CustomerCreation
from crm_kit.records.patch import Patch, optional


class SalesSettingsUpdate(Patch):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_creation": "on_win"}]})

    customer_creation: CustomerCreation = optional(
        "`on_qualify` makes account and contact when a lead is qualified, `on_win` when its deal is won."
    )
