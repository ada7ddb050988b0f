"""Bytes of mail as text: charset labels by the WHATWG Encoding standard, with fallbacks where a label is missing or lies."""

import codecs
import re
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_FAMILIES: Final = {
    "cp1252": (
        "ascii us-ascii ansi_x3.4-1968 latin1 l1 iso-8859-1 iso8859-1 iso_8859-1 iso88591 cp819 cp1252 windows-1252 x-cp1252"
    ),
    "cp1254": "iso-8859-9 iso8859-9 iso_8859-9 latin5 l5 cp1254 windows-1254",
    "cp874": "iso-8859-11 iso8859-11 tis-620 dos-874 windows-874",
    "gb18030": "gb2312 gb_2312 gb_2312-80 csgb2312 csiso58gb231280 iso-ir-58 chinese gbk x-gbk cp936 gb18030",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "cp932": "shift_jis shift-jis sjis x-sjis csshiftjis ms_kanji ms932 windows-31j cp932",
    "cp949": "euc-kr cseuckr ks_c_5601-1987 ks_c_5601-1989 ks_c_5601 ksc5601 ksc_5601 korean iso-ir-149 windows-949 cp949",
    "euc_jp": "euc-jp cseucpkdfmtjapanese x-euc-jp",
    "iso2022_jp": "iso-2022-jp csiso2022jp iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-ms cp50220 cp50221 cp50222",
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
    "utf-16-le": "utf-16 utf-16le ucs-2 unicode csunicode iso-10646-ucs-2",
    "utf-16-be": "utf-16be unicodefffe",
    "iso8859-8": "iso-8859-8 iso-8859-8-i iso-8859-8-e logical visual",
    "mac_roman": "macintosh mac x-mac-roman csmacintosh",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
}
LABELS: Final = {label: codec for codec, labels in _FAMILIES.items() for label in labels.split()}
"""Labels whose codec of the same name in Python is narrower than what mail programs write (Encoding standard, 4.2)."""
_NO_TEXT: Final = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
_NOT_FOR_MAIL: Final = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
)
_ESCAPED: Final = re.compile(rb"\x1b(?:\$[@B]|\([BJI]|\$\([DOPQ])")
_PIECES: Final = re.compile(rb"\x1b(\$[@B]|\([BJI])([^\x1b]*)")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return the text without NUL and lone surrogates, which neither PostgreSQL nor JSON can hold."""
    return _SURROGATES.sub(REPLACEMENT, text.replace("\0", ""))


def codec_of(label: str) -> str | None:
    """Return the name of the codec for a charset label; None if the label is unknown."""
    name = label.strip().strip("\"'").lower()
    known = LABELS.get(name)
    if known is not None:
        return known
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError, UnicodeError):
        return None
    codec = found.replace("-", "_")
    return None if codec in _NO_TEXT or codec in _NOT_FOR_MAIL else found


def decode(data: bytes, label: str | None) -> tuple[str, str | None]:
    """Return the text of the bytes, and a warning if it had to be guessed. It never fails."""
    if not label:
        text, guessed = _sniffed(data)
        return clean(text), None if guessed is None else f"charset missing, read as {guessed}"
    codec = codec_of(label)
    if codec is None:
        text, guessed = _sniffed(data)
        return clean(text), f"unknown charset {_shown(label)}, read as {guessed or 'utf-8'}"
    if codec == "cp1252" and label.strip().lower() in ("ascii", "us-ascii") and (b"\x1b" in data or not data.isascii()):
        text, guessed = _sniffed(data)
        return clean(text), f"charset {_shown(label)} is wrong, read as {guessed or 'utf-8'}"
    text, warning = _by_codec(data, codec, label)
    return clean(text), warning


def _by_codec(data: bytes, codec: str, label: str) -> tuple[str, str | None]:
    text = _strictly(data, codec)
    if text is not None:
        return text, None
    if codec == "iso2022_jp" and data.isascii() and (text := _microsoft_jis(data)) is not None:
        return text, None
    text = _strictly(data, "utf-8")
    if text is not None:
        return text, f"charset {_shown(label)} is wrong, read as utf-8"
    try:
        return data.decode(codec, "replace"), f"some bytes are not {_shown(label)}"
    except (UnicodeError, LookupError, ValueError):
        return data.decode("latin-1"), f"charset {_shown(label)} is wrong, read as latin-1"


def _sniffed(data: bytes) -> tuple[str, str | None]:
    """Return the text of bytes without a label, and the charset that was guessed; None for plain ASCII."""
    if _ESCAPED.search(data) and data.isascii():
        text = _strictly(data, "iso2022_jp") or _microsoft_jis(data)
        if text is not None:
            return text, "iso-2022-jp"
    text = _strictly(data, "utf-8")
    if text is not None:
        return text, None if data.isascii() else "utf-8"
    return data.decode("cp1252", "replace"), "windows-1252"


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except (UnicodeError, LookupError, ValueError):
        return None


def _microsoft_jis(data: bytes) -> str | None:
    """Return the text of ISO-2022-JP with the characters of Windows, such as circled digits, which Python's codec refuses."""
    parts, at = [], 0
    for piece in _PIECES.finditer(data):
        parts.append(data[at : piece.start()])
        kind, body = piece.group(1), piece.group(2)
        if kind.startswith(b"$"):
            parts.append(_shifted(body))
        elif kind == b"(I":
            parts.append(bytes(byte | 0x80 if byte > 0x20 else byte for byte in body))
        else:
            parts.append(body)
        at = piece.end()
    parts.append(data[at:])
    return _strictly(b"".join(parts), "cp932")


def _shifted(body: bytes) -> bytes:
    """Return pairs of JIS X 0208 as Shift_JIS (JIS X 0208:1997, annex 1)."""
    out, at = bytearray(), 0
    while at < len(body):
        first = body[at]
        if first <= 0x20 or at + 1 == len(body):
            out.append(first)
            at += 1
            continue
        second = body[at + 1]
        lead = ((first - 0x21) >> 1) + (0x81 if first < 0x5F else 0xC1)
        trail = second + (0x1F if second < 0x60 else 0x20) if first % 2 else second + 0x7E
        out += bytes((lead & 0xFF, trail & 0xFF))
        at += 2
    return bytes(out)


def _shown(label: str) -> str:
    return clean(label)[:40]
