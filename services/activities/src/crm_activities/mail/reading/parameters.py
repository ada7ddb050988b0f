"""Values with parameters, such as Content-Type (RFC 2045, RFC 2231)."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from crm_activities.mail.reading.charsets import clean, decode
from crm_activities.mail.reading.words import decode_words

_PARAMETER: Final = re.compile(r';\s*([^=;\s"]{1,100})\s*=\s*("(?:[^"\\]|\\.)*"?|[^;]*)')
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_PIECE: Final = re.compile(r"(.+?)(?:\*(\d{1,4}))?(\*)?")
MOST_PIECES: Final = 1000


@dataclass(frozen=True, slots=True)
class Valued:
    """A value in lower case and its parameters, decoded."""

    value: str
    parameters: dict[str, str]


def valued(text: str, warnings: list[str]) -> Valued:
    """Read a value with parameters. Continued and encoded pieces win over a plain parameter of the same name."""
    value = text.partition(";")[0].strip().strip('"').lower()
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    for count, found in enumerate(_PARAMETER.finditer(text)):
        if count == MOST_PIECES:
            warnings.append("too many parameters")
            break
        name = _PIECE.fullmatch(found.group(1))
        raw = found.group(2).strip()
        content = _ESCAPE.sub(r"\1", raw[1:].removesuffix('"')) if raw.startswith('"') else raw
        if name is None:
            continue
        key, number, encoded = name.group(1).lower(), name.group(2), name.group(3) is not None
        if number is None and not encoded:
            plain.setdefault(key, content)
        else:
            pieces.setdefault(key, {}).setdefault(int(number or 0), (encoded, content))
    parameters = {key: clean(decode_words(content, warnings)) for key, content in plain.items()}
    parameters |= {key: _joined(found, warnings) for key, found in pieces.items()}
    return Valued(value, parameters)


def _joined(pieces: dict[int, tuple[bool, str]], warnings: list[str]) -> str:
    """Join pieces in order. Encoded neighbours are decoded together; percent signs of plain pieces stay."""
    out: list[str] = []
    charset, pending = "", b""
    for number in sorted(pieces):
        encoded, content = pieces[number]
        if not encoded:
            out += [_decoded(pending, charset, warnings), content]
            pending = b""
            continue
        if number == min(pieces) and content.count("'") >= 2:
            charset, _, content = content.split("'", 2)
        pending += unquote_to_bytes(content)
    out.append(_decoded(pending, charset, warnings))
    return clean("".join(out))


def _decoded(data: bytes, charset: str, warnings: list[str]) -> str:
    if not data:
        return ""
    text, warning = decode(data, charset or None)
    if warning and charset:
        warnings.append(warning)
    return text
