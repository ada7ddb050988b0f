"""Numbers that clients give themselves, beside those that are drawn."""

from crm_kit.errors import InvalidValue


def require_own_number(number: str | None, prefix: str) -> None:
    """Numbers such as ACC-00042 are drawn, or one day a drawn number would meet a given one."""
    drawn, _, digits = (number or "").partition("-")
    if drawn.upper() == prefix and digits.isascii() and digits.isdigit():
        message = (
            f"Numbers of the form {prefix}-00042 are drawn by the service; leave the number out, or give one of yours."
        )
        raise InvalidValue("/number", "reserved-number", message)
