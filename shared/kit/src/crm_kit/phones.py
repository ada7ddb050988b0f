"""Telephone numbers. People may type them in several forms; they are stored in E.164."""

import re
from typing import Annotated

import phonenumbers
from pydantic import Field, StringConstraints

from crm_contracts.types import form
from crm_kit.errors import InvalidValue

E164 = re.compile(r"\+[1-9][0-9]{6,14}")

PhoneInput = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=3,
        max_length=40,
        pattern=form(
            r"^[+0-9 ()./\-]+$", "A phone number may hold digits, spaces and + ( ) - . /, as in +49 170 1234567."
        ),
    ),
    Field(examples=["+491701234567"]),
]
"""A number in E.164, or a national one of the organisation's country."""


def normal_phone(text: str, country: str | None, pointer: str) -> str:
    """Return the number in E.164. ``country`` is the organisation's, for national numbers.

    Raises 422 ``invalid-phone`` if the number cannot exist, or if it is national and there is no country.
    """
    if E164.fullmatch(text):
        return text
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        number = None
    if number is not None and phonenumbers.is_possible_number(number):
        normal = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        # Local numbers of three digits are possible in some countries, and are no E.164.
        if E164.fullmatch(normal):
            return normal
    raise InvalidValue(pointer, "invalid-phone", "Send a telephone number such as +491701234567.")
