"""Values of headers."""

import unicodedata
from typing import Final

from crm_contracts.types import composed

_BREAKING: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of control characters, lone surrogates, and separators of lines and paragraphs."""


def in_one_line(text: str, longest: int) -> str:
    """Return a text for a header: line breaks and control characters become spaces (RFC 5322 §2.2), cut to its longest.

    Without them no text of a record can add a header to a mail.
    """
    kept = "".join(" " if unicodedata.category(one) in _BREAKING else one for one in text[: longest * 4])
    return composed(" ".join(kept.split()))[:longest].strip()
