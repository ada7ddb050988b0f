"""One folding of an identifier that people type: a log-in name, an e-mail address, the name of a throttled bucket.

Python and the database must agree on who is who, and they do not on Unicode: what ``lower`` makes of a letter outside ASCII
depends on the locale of a database and on the version of each side's tables. So an identifier that is stored has ASCII
letters only, its SQL folds those and nothing else, and whatever is typed is folded in Python before it meets one.
"""

import unicodedata
from typing import Final

from sqlalchemy import TextClause, text

ASCII_FOLD: Final = 'lower({0} collate "C")'
"""SQL: the ASCII letters of a column in lower case, in every locale, and everything else as it is."""


def fold(typed: str) -> str:
    """The identifier that somebody means: trimmed, compatibility forms as their plain characters, case folded.

    Unicode's toNFKC_Casefold without its dropping of invisible characters, which here make another name. For ASCII text
    it is what ``ASCII_FOLD`` makes of it.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).casefold()).strip()


def folded(column: str) -> TextClause:
    """The folded column, for an index."""
    return text(ASCII_FOLD.format(column))
