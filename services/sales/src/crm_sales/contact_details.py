"""Normal forms of contact details: telephone numbers in E.164, dates of birth in the past."""

from typing import Any

from crm_kit.errors import InvalidValue
from crm_kit.phones import normal_phone
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork

PHONES = ("phone", "mobile_phone")


def normal_details(uow: UnitOfWork, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with each phone in E.164.

    422 ``invalid-phone``, or ``in-the-future`` for a future date of birth.
    """
    country = uow.runtime.directory.organization.country
    for field in PHONES:
        if values.get(field) is not None:
            values[field] = normal_phone(values[field], country, f"/{field}")
    birth_date = values.get("birth_date")
    if birth_date is not None and birth_date > today(uow):
        raise InvalidValue("/birth_date", "in-the-future", "Send a date of birth that is not in the future.")
    return values
