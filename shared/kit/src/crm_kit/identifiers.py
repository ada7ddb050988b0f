"""Folds identifiers that people type: log-in names, e-mail addresses, and the names of throttled buckets.

Python and PostgreSQL must fold alike, but they do not for Unicode: the result of ``lower`` for a letter outside ASCII depends on
the locale of a database and on the Unicode version of each side. A stored identifier therefore has only ASCII letters, SQL folds
only those, and typed text is folded in Python before it is compared.
"""

import unicodedata
from typing import Final

from sqlalchemy import TextClause, text

ASCII_FOLD: Final = 'lower({0} collate "C")'
"""SQL that returns a column with its ASCII letters in lower case, in every locale, and everything else unchanged."""


def fold(typed: str) -> str:
    """Return the identifier that a typed text stands for: trimmed, normalised to NFKC, and case-folded.

    It is Unicode's toNFKC_Casefold, but it keeps invisible characters, which make a different name here. For trimmed ASCII text
    the result is the same as that of ``ASCII_FOLD``.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).casefold()).strip()


def folded(column: str) -> TextClause:
    """Return the folded column, for an index."""
    return text(ASCII_FOLD.format(column))
