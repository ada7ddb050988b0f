"""How people and companies are reached: e-mail addresses, telephone numbers and URLs."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, WithJsonSchema
from pydantic.networks import validate_email
from pydantic_core import PydanticCustomError

from .marks import CONSUMING, STORED
from .texts import form

_EMAIL: Final = re.compile(
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)@"
    r"(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9])",
    re.ASCII,
)


def normal_email(value: str) -> str:
    """Return the normal form of an address: trimmed, its domain in lower case and in its own script (RFC 5890's U-labels), and
    its local part in NFC (RFC 6532).

    Raises PydanticCustomError if it is not valid by RFC 5321 or RFC 6531.
    """
    text = value.strip()
    known = _ascii_email(text)
    if known is not None and "@xn--" not in known and ".xn--" not in known:
        return known
    # An address of a domain that is written in ASCII and cannot be shown in its script was taken by earlier releases.
    normal = _international_email(text) or known
    if normal is None:
        raise PydanticCustomError("email", "Send an e-mail address such as ada@example.org.")
    return normal


def login_email(value: str) -> str:
    """Return the normal form of an address with which a user logs in: trimmed, its domain in lower case. A domain of another
    script stays in its ASCII form (RFC 5890's A-labels), because log-in names are compared in ASCII.

    Raises PydanticCustomError if it is not valid by RFC 5321.
    """
    known = _ascii_email(value.strip())
    if known is None:
        raise PydanticCustomError(
            "login_email",
            "Send an e-mail address of letters a to z, digits and signs, such as ada@example.org, because it is a log-in.",
        )
    return known


def _ascii_email(text: str) -> str | None:
    match = _EMAIL.fullmatch(text) if len(text) <= 254 else None
    return f"{match['local']}@{match['domain'].lower()}" if match is not None and len(match["local"]) <= 64 else None


def _international_email(text: str) -> str | None:
    # Pydantic takes "Ada <ada@example.org>", too.
    if "<" in text or len(text) > 254 or (text.isascii() and "xn--" not in text.lower()):
        return None
    try:
        normal = validate_email(text)[1]
    except PydanticCustomError:
        return None
    return normal if len(normal.rpartition("@")[0]) <= 64 else None


def _email(value: str, info: ValidationInfo) -> str:
    """Return an address in its normal form. Consumed events and stored records keep what another release has accepted."""
    context = info.context or {}
    return value if context.get(CONSUMING) or context.get(STORED) else normal_email(value)


Email = Annotated[
    str,
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254, "examples": ["ada@example.org"]}),
    WithJsonSchema(
        {"type": "string", "format": "idn-email", "maxLength": 254, "examples": ["ada@example.org"]}, mode="validation"
    ),
]
"""An e-mail address (RFC 5321 lengths; RFC 6531 for other scripts), trimmed, domain in lower case and in its own script."""

LoginEmail = Annotated[
    str,
    AfterValidator(login_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254, "examples": ["ada@example.org"]}),
]
"""An e-mail address in ASCII (RFC 5321) with which a user logs in, trimmed, domain in lower case."""

Phone = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        pattern=form(
            r"^\+[1-9][0-9]{6,14}$", "Write the number with + and its country code, then digits alone: +491701234567."
        ),
    ),
    Field(examples=["+491701234567"]),
]
"""A telephone number in E.164 form."""

_URL: Final = re.compile(
    r"https?://[^\s/?#@\x00-\x1f\ud800-\udfff]+(?:[/?#][^\s\x00-\x1f\ud800-\udfff]*)?", re.IGNORECASE
)


def _url(value: str) -> str:
    text = value.strip()
    if len(text) > 2000 or not _URL.fullmatch(text):
        raise PydanticCustomError("url", "Send an http or https URL of at most 2000 characters.")
    return text


Url = Annotated[
    str,
    AfterValidator(_url),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 2000,
            "pattern": r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?([/?#][!-~]*)?$",
            "examples": ["https://example.org"],
        }
    ),
]
"""An http or https address of at most 2000 characters."""
