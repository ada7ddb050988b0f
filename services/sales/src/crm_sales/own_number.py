"""Numbers that clients give themselves, beside those that are drawn."""

from crm_kit.errors import InvalidValue


def require_own_number(number: str | None, prefix: str) -> None:
    """Numbers such as ACC-00042 are drawn, or one day a drawn number would meet a given one."""
    drawn, _, digits = (number or "").partition("-")
    if drawn.upper() == prefix and digits.isascii() and digits.isdigit():
        message = (
            f"Leave the number out, or send one of another form: the service assigns numbers such as {prefix}-00042."
        )
        raise InvalidValue("/number", "reserved-number", message)
