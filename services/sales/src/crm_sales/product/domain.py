"""Products: the state machine and the rules that need no database. Terms follow Dataverse's Product."""

from datetime import date

from crm_contracts.money import Money
from crm_contracts.sales.choices import ProductStatus, ProductStructure
from crm_contracts.sentences import said, status_word
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "draft/draft",
    {
        "activate": ({"draft/draft"}, "active/active"),
        "retire": ({"active/active"}, "retired/retired"),
        "revise": ({"active/active", "retired/retired"}, "draft/draft"),
    },
)

MAX_LEVELS = 20
"""Maximum number of levels of families and products below a root."""


def require_no_price_of_a_family(structure: str, list_price: Money | None, standard_cost: Money | None) -> None:
    """Refuse prices of a family: only products have a price."""
    if structure == ProductStructure.FAMILY:
        for field, amount in (("list_price", list_price), ("standard_cost", standard_cost)):
            if amount is not None:
                raise InvalidValue(
                    f"/{field}", "family-has-no-price", "Leave the price out: a product family is not sold."
                )


def why_not_sold(structure: str, status: str, valid_from: date | None, valid_to: date | None, day: date) -> str | None:
    """Return why a product cannot be added to a line on this day; None if it can."""
    if structure == ProductStructure.FAMILY:
        return "Choose a product: this is a product family."
    if status != ProductStatus.ACTIVE:
        return said("Choose an active product: this one is {status}.", status=status_word("product", status))
    if valid_from is not None and day < valid_from:
        return said("Choose another product: this one is sold from {day}.", day=valid_from)
    if valid_to is not None and day > valid_to:
        return said("Choose another product: this one was sold until {day}.", day=valid_to)
    return None
