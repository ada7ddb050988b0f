"""Numbers that clients assign themselves."""

from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue


def require_own_number(number: str | None, prefix: str) -> None:
    """Refuse numbers of the form that the service assigns, such as ACC-00042, so that the two can never collide."""
    drawn, _, digits = (number or "").partition("-")
    if drawn.upper() == prefix and digits.isascii() and digits.isdigit():
        message = said(
            "Leave the number out, or send one of another form: the service assigns numbers such as {prefix}-00042.",
            prefix=prefix,
        )
        raise InvalidValue("/number", "reserved-number", message)
