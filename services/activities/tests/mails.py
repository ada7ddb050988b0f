"""Mails as real programs write them: own texts in the odd forms that public bug reports describe."""

from collections.abc import Iterable


def mail(*fields: str | bytes, body: str | bytes = b"hello\r\n", sender: bool = True) -> bytes:
    """Return a message with these fields as they are, and From and Message-ID unless they are among them."""
    lines = [one.encode() if isinstance(one, str) else one for one in fields]
    names = {line.partition(b":")[0].lower() for line in lines}
    if sender and b"from" not in names:
        lines.insert(0, b"From: Ada <ada@example.com>")
    if b"message-id" not in names:
        lines.append(b"Message-ID: <m1@example.com>")
    if b"date" not in names:
        lines.append(b"Date: Mon, 05 Jan 2026 10:00:00 +0100")
    return b"\r\n".join([*lines, b"", body.encode() if isinstance(body, str) else body])


def multipart(kind: str, parts: Iterable[bytes], boundary: str = "edge", more: str = "") -> tuple[str, bytes]:
    """Return the Content-Type and the body of a multipart of these parts, each with its head."""
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}', body + b"--" + boundary.encode() + b"--\r\n"


def part(kind: str, content: str | bytes, *fields: str) -> bytes:
    """Return a part with its head."""
    head = "\r\n".join([f"Content-Type: {kind}", *fields]).encode()
    return head + b"\r\n\r\n" + (content.encode() if isinstance(content, str) else content)
