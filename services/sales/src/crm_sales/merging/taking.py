"""The values that a survivor takes over from the record merged into it."""

from collections.abc import Sequence
from typing import Any

from crm_contracts.money import Money
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue
from crm_kit.records.merging import taken_over
from crm_kit.store.record import Mergeable

NAMES = ("first_name", "last_name")


def values_taken(
    loser: Mergeable, survivor: Mergeable, fields: Sequence[str], fillable: Sequence[str], money: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the loser's values for the named fields, and for fillable fields that are empty in the survivor.

    An amount in another currency than the survivor's is not filled in; a named one raises 422 ``currency-mismatch``. A
    first name is filled in only if the last names are equal or one is missing, so that names of two people are never
    mixed.
    """
    currency = next((amount.currency for field in money if (amount := _amount(survivor, field)) is not None), None)
    foreign = {
        field
        for field in money
        if (amount := _amount(loser, field)) is not None and currency not in (None, amount.currency)
    }
    for index, field in enumerate(fields):
        if field in foreign:
            message = said(
                "Leave this field out: the amounts of the surviving record are in {currency}.", currency=currency
            )
            raise InvalidValue(f"/fields/{index}", "currency-mismatch", message)
    left_alone = foreign | (set() if _namesakes(loser, survivor) else {"first_name"})
    return taken_over(loser, survivor, set(fields), [field for field in fillable if field not in left_alone])


def _amount(record: Mergeable, field: str) -> Money | None:
    amount: Money | None = getattr(record, field)
    return amount


def _namesakes(loser: Mergeable, survivor: Mergeable) -> bool:
    theirs, ours = (getattr(record, "last_name", None) for record in (loser, survivor))
    return ours is None or theirs is None or ours.casefold() == theirs.casefold()
