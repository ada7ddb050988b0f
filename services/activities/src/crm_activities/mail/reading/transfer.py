"""Content-Transfer-Encoding: the bytes of a part (RFC 2045 6, and uuencode)."""

import binascii
from typing import Final

from crm_activities.mail.reading.words import from_base64

_PLAIN: Final = frozenset({"", "7bit", "8bit", "binary"})
_UU: Final = frozenset({"x-uuencode", "uuencode", "uue", "x-uue"})


def decoded(data: bytes, encoding: str, warnings: list[str]) -> bytes:
    """Return the bytes of a part. What cannot be decoded stays as it is, with a warning."""
    name = encoding.strip().strip('"').lower()
    if name in _PLAIN:
        return data
    if name == "base64":
        found, damaged = from_base64(data)
        if damaged:
            warnings.append("damaged base64")
        return found
    if name == "quoted-printable":
        return binascii.a2b_qp(data)
    if name in _UU:
        return _from_uu(data, warnings)
    warnings.append(f"unknown transfer encoding {name[:40]}")
    return data


def _from_uu(data: bytes, warnings: list[str]) -> bytes:
    lines = iter(data.splitlines())
    if not any(line.startswith(b"begin ") for line in lines):
        warnings.append("uuencode without a beginning")
        return data
    out = bytearray()
    for line in lines:
        if not line.strip(b"` ") or line.rstrip() == b"end":
            break
        try:
            out += binascii.a2b_uu(line)
        except binascii.Error:
            # Some programs write more on a line than its first character says.
            size = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                out += binascii.a2b_uu(line[:size])
            except binascii.Error:
                warnings.append("damaged uuencode")
    return bytes(out)
