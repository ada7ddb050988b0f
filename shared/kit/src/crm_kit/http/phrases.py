"""Rewords the messages of libraries about a request, so that they say what to send."""

import re
from collections.abc import Mapping
from typing import Any, Final

from crm_contracts.sentences import Sentence, said
from crm_contracts.types import FORMS

RULES: Final[Mapping[str, str]] = {
    "missing": "Send this field: it is required.",
    "string_type": "Send text.",
    "string_too_short": "Send at least {min_length} characters.",
    "string_too_long": "Send at most {max_length} characters.",
    "too_short": "Send at least {min_length} items.",
    "too_long": "Send at most {max_length} items.",
    "list_type": "Send a list.",
    "dict_type": "Send an object.",
    "model_type": "Send an object.",
    "model_attributes_type": "Send an object.",
    "int_type": "Send a whole number.",
    "int_parsing": "Send a whole number.",
    "int_parsing_size": "Send a smaller whole number.",
    "int_from_float": "Send a whole number.",
    "float_type": "Send a number.",
    "float_parsing": "Send a number.",
    "decimal_type": "Send a number.",
    "decimal_parsing": "Send a number.",
    "finite_number": "Send a finite number.",
    "decimal_max_digits": "Send at most {max_digits} digits.",
    "decimal_max_places": "Send at most {decimal_places} decimal places.",
    "decimal_whole_digits": "Send at most {whole_digits} digits before the decimal point.",
    "greater_than": "Send more than {gt}.",
    "greater_than_equal": "Send {ge} or more.",
    "less_than": "Send less than {lt}.",
    "less_than_equal": "Send {le} or less.",
    "bool_type": "Send true or false.",
    "bool_parsing": "Send true or false.",
    "uuid_type": "Send an id, which is a UUID.",
    "uuid_parsing": "Send an id, which is a UUID.",
    "date_type": "Send a date such as 2026-05-04.",
    "date_parsing": "Send a date such as 2026-05-04.",
    "date_from_datetime_parsing": "Send a date such as 2026-05-04.",
    "date_from_datetime_inexact": "Send a date such as 2026-05-04, without a time.",
    "datetime_type": "Send a time with its zone, such as 2026-05-04T09:30:00Z.",
    "datetime_parsing": "Send a time with its zone, such as 2026-05-04T09:30:00Z.",
    "datetime_from_date_parsing": "Send a time with its zone, such as 2026-05-04T09:30:00Z.",
    "timezone_aware": "Send a time with its zone, such as 2026-05-04T09:30:00Z.",
    "literal_error": "Send {expected}.",
    "enum": "Send {expected}.",
    "union_tag_invalid": "Send {discriminator} as one of {expected_tags}.",
}
"""Messages by pydantic's name of a rule; pydantic provides the values in braces."""
_VALUE_ERROR: Final = "Value error, "

FORM_ERRORS: Final = (
    (
        r"(?:Part|Field) exceeded maximum size of (\d+)KB\.",
        "Send at most {most} KiB in each field of the form.",
    ),
    (r"Too many fields\. Maximum number of fields is (\d+)\.", "Send at most {most} fields in the form."),
    (r"Too many files\. Maximum number of files is (\d+)\.", "Send at most {most} files in the form."),
    (r"The Content-Disposition header .*", "Name each part of the form in its Content-Disposition."),
    (r"Missing boundary in multipart\.", "The Content-Type has no boundary. Let your HTTP library write it."),
    (r"Invalid multipart data\.", "Send multipart/form-data as RFC 7578 defines it."),
)
"""Starlette's messages about forms, as patterns, and our messages."""


def of_rule(found: Mapping[str, Any]) -> str:
    """The message for an error that pydantic found, which says what to send."""
    rule, given = str(found["type"]), dict(found.get("ctx") or {})
    if rule == "string_pattern_mismatch":
        pattern = str(given.get("pattern"))
        return FORMS.get(pattern) or said("Send text that matches {pattern}.", pattern=pattern)
    if rule == "value_error":
        return str(found["msg"]).removeprefix(_VALUE_ERROR)
    phrase = RULES.get(rule)
    try:
        message = str(found["msg"]) if phrase is None else phrase.format_map(given)
    except KeyError:
        phrase, message = None, str(found["msg"])
    text = re.sub(r"\b1 (character|item|digit)s\b", r"1 \1", message)
    return text if phrase is None else Sentence(text, phrase, given)


def of_form(text: str) -> str:
    """The message for Starlette's error about a form."""
    for pattern, phrase in FORM_ERRORS:
        if match := re.fullmatch(pattern, text):
            given = dict(zip(("most",), match.groups(), strict=False))
            return Sentence(phrase.format_map(given), phrase, given)
    return "The request cannot be read. Send it as RFC 9110 defines it."
