"""Reports about mail that we sent: bounces (RFC 3464, RFC 3463, RFC 6522) and complaints (RFC 5965)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from crm_activities.mail.reading.addresses import normal_address
from crm_activities.mail.reading.automatic import has_no_return_path, is_daemon
from crm_activities.mail.reading.charsets import decode
from crm_activities.mail.reading.headers import Headers, split_head
from crm_activities.mail.reading.ids import ids_of
from crm_activities.mail.reading.parts import Part

MOST_RECIPIENTS: Final = 100
LONGEST_DIAGNOSTIC: Final = 500
_STATUS: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_FAILED_SUBJECT: Final = re.compile(
    r"(?i)undeliver|delivery (status notification \(failure\)|failed|has failed|failure)|returned mail|failure notice"
    r"|mail delivery failed|returned to sender|unzustellbar|non remis|no se ha podido entregar|无法投递|未送达|配信できません"
)
_QUOTED_ID: Final = re.compile(r"(?im)^\s*message-id:\s*(<[^<>\s]{3,500}>)")
_BLOCK: Final = re.compile(rb"\r?\n[ \t]*\r?\n")


class ReportKind(StrEnum):
    """What a report says about a mail of ours."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient that a report names. ``status`` is the code of RFC 3463; empty if the report has none."""

    address: str
    status: str
    diagnostic: str

    @property
    def permanent(self) -> bool:
        """Whether the address itself is of no use, so that nothing should be sent there again."""
        return not self.status.startswith("4")


@dataclass(frozen=True, slots=True)
class Report:
    """A bounce or a complaint, the recipients it is about, and the ids of the mail it is about."""

    kind: ReportKind
    recipients: tuple[Recipient, ...]
    original_ids: tuple[str, ...]


def report_of(message: Part, headers: Headers, subject: str, sender: str) -> Report | None:
    """Return the report that the message is; None if it is none.

    A delivery status counts as a bounce only if a recipient failed: a delayed or delivered mail did not bounce.
    """
    parts = list(_leaves(message))
    status = next((one for one in parts if one.type.value == "message/delivery-status"), None)
    if status is not None:
        failed = _failed(status.content)
        return Report(ReportKind.BOUNCE, failed, _original_ids(parts)) if failed else None
    feedback = next((one for one in parts if one.type.value == "message/feedback-report"), None)
    if feedback is not None:
        return _complaint(feedback.content, parts)
    if headers.first("auto-submitted").lower().startswith("auto-replied") and not is_daemon(sender):
        return None
    if (is_daemon(sender) or has_no_return_path(headers)) and _FAILED_SUBJECT.search(subject):
        return _unstructured(parts, headers)
    return None


def _leaves(part: Part) -> Iterator[Part]:
    if not part.is_multipart:
        yield part
    for inner in part.parts:
        yield from _leaves(inner)


def _failed(content: bytes) -> tuple[Recipient, ...]:
    found = []
    for block in _BLOCK.split(content)[: MOST_RECIPIENTS + 1]:
        fields, _ = split_head(block, 0, len(block), [])
        action = fields.first("action").partition(";")[0].strip().lower()
        code = _code(fields.first("status"))
        address = _typed(fields.first("original-recipient")) or _typed(fields.first("final-recipient"))
        if action == "failed" or (not action and address and code.startswith("5")):
            diagnostic = fields.first("diagnostic-code")[:LONGEST_DIAGNOSTIC]
            found.append(Recipient(address, code or _code(diagnostic), diagnostic))
    return tuple(found)


def _complaint(content: bytes, parts: list[Part]) -> Report | None:
    fields, _ = split_head(content.lstrip(b"\r\n"), 0, len(content.lstrip(b"\r\n")), [])
    if fields.first("feedback-type").strip().lower() == "not-spam":
        return None
    about = (normal_address(one) for one in fields.all("original-rcpt-to"))
    recipients = tuple(Recipient(one, "", "") for one in about if one)[:MOST_RECIPIENTS]
    return Report(ReportKind.COMPLAINT, recipients, _original_ids(parts))


def _unstructured(parts: list[Part], headers: Headers) -> Report:
    text = "\n".join(
        decode(one.content[:65536], one.type.parameters.get("charset"))[0]
        for one in parts
        if one.type.value == "text/plain"
    )
    failed = [normal_address(one) for value in headers.all("x-failed-recipients") for one in value.split(",")]
    code = _code(text)
    recipients = tuple(Recipient(one, code, "") for one in failed if one) or (Recipient("", code, ""),)
    ids = _original_ids(parts) or tuple(_QUOTED_ID.findall(text))[:1]
    return Report(ReportKind.BOUNCE, recipients[:MOST_RECIPIENTS], ids)


def _original_ids(parts: list[Part]) -> tuple[str, ...]:
    """The id of the mail that a report returns, whole or its head alone."""
    for part in parts:
        if part.type.value in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers"):
            head, _ = split_head(part.content, 0, len(part.content), [])
            if found := ids_of(head.all("message-id"), []):
                return found[:1]
    return ()


def _typed(value: str) -> str:
    """The address of `rfc822;ada@example.com`."""
    kind, separator, address = value.partition(";")
    return normal_address(address if separator else kind) or ""


def _code(text: str) -> str:
    found = _STATUS.search(text)
    return found.group() if found else ""
