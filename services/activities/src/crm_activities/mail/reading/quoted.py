"""What the sender wrote, without the mail that was quoted below it.

The full text is always kept beside. So nothing is lost where a quotation is not recognised, and what is no quotation for certain
is not cut off.
"""

import re
from typing import Final

_ATTRIBUTION: Final = re.compile(
    r"""(?ix)^\s*[>\s]*(?:
      on\b.{4,200}\bwrote | am\b.{4,200}\bschrieb\b.{0,100} | le\b.{4,200}\ba\s+écrit | el\b.{4,200}\bescribió
    | il\b.{4,200}\bha\s+scritto | op\b.{4,200}\bschreef\b.{0,100} | em\b.{4,200}\bescreveu | w\s+dniu\b.{4,200}\bnapisał\S*
    | den\b.{4,200}\bskrev\b.{0,100}
    )\s*[:：]\s*$"""
)
"""Attributions that can be told by their first word, so that they may be folded."""
_ENDING: Final = re.compile(
    r"""(?ix)^.{4,200}(?:<[^<>@\s]+@[^<>\s]+>\s*(?:wrote|schrieb|a\s+écrit|escribió|ha\s+scritto)
    |写道|寫道|のメール|さんは書きました|が書きました|のメッセージ)\s*[:：]\s*$"""
)
_DIVIDER: Final = re.compile(
    r"""(?ix)^\s*(?:-{2,}|_{2,}|={2,})\s*(?:original\s+message|forwarded\s+message|ursprüngliche\s+nachricht
    |weitergeleitete\s+nachricht|message\s+d'origine|mensaje\s+original|messaggio\s+originale|mensagem\s+original
    |oorspronkelijk\s+bericht|原始邮件|原始郵件|元のメッセージ|original\s+appointment)\s*(?:-{2,}|_{2,}|={2,})\s*$
    |^\s*begin\s+forwarded\s+message\s*:\s*$"""
)
_RULE: Final = re.compile(r"^\s*[_\-=]{10,}\s*$")
_FIELD: Final = re.compile(
    r"""(?ix)^\s*\*?(?:(?P<from>from|von|de|da|van|från|od|差出人|发件人|寄件者|寄件人)
    |(?P<when>sent|date|gesendet|datum|envoyé|enviado|fecha|inviato|data|verzonden|skickat|送信日時|日時|发送时间|日期|寄件日期)
    |(?P<other>to|cc|subject|an|betreff|à|objet|para|asunto|a|oggetto|aan|onderwerp|till|ämne|宛先|件名|收件人|抄送|主题|主旨
    |reply-to|importance))\s*\*?\s*[:：]\s*\*?\s*\S"""
)
MOST_LINES: Final = 20_000
LOOK_AHEAD: Final = 8
"""Lines in which the fields of a quoted mail are looked for."""
LONGEST_ATTRIBUTION: Final = 300


def reply_of(text: str) -> str:
    """Return the part of the text that the sender wrote.

    The text above a quotation is returned; if there is none, the text below it. A text with answers between quoted lines is
    returned whole, and so is one that quotes nothing.
    """
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        return text.strip()
    for at, line in enumerate(lines):
        if _opens_block(lines, at):
            above = _above(lines[:at])
            return above or text.strip()
        size = _attribution(lines, at)
        if size or (line.startswith(">") and not _quotes(lines[:at])):
            return _beside(lines, at, size) or text.strip()
    return text.strip()


def _above(lines: list[str]) -> str:
    while lines and (not lines[-1].strip() or _RULE.match(lines[-1])):
        lines = lines[:-1]
    return "\n".join(lines).strip()


def _beside(lines: list[str], at: int, size: int) -> str:
    """The text above an attribution or a quotation, or below the quotation if nothing stands above."""
    rest = lines[at + size :]
    last = max((number for number, line in enumerate(rest) if _is_quoted(line)), default=-1)
    if last < 0:
        # Nothing is marked as quoted. Some programs write the attribution and then the mail as it was.
        return _above(lines[:at])
    below = "\n".join(rest[last + 1 :]).strip()
    if any(line.strip() and not _is_quoted(line) for line in rest[:last]):
        return ""
    above = _above(lines[:at])
    return "\n\n".join(one for one in (above, below) if one)


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith(">")


def _quotes(lines: list[str]) -> bool:
    return any(_is_quoted(line) for line in lines)


def _attribution(lines: list[str], at: int) -> int:
    """The number of lines of an attribution that begins here, 1 to 3; 0 if none does. Programs fold long ones."""
    joined = ""
    for size in range(1, 4):
        if at + size > len(lines) or not lines[at + size - 1].strip() or len(joined) > LONGEST_ATTRIBUTION:
            return 0
        joined = f"{joined} {lines[at + size - 1].strip()}".strip()
        if _is_attribution(joined, folded=size > 1):
            return 0 if any(_attribution(lines, later) for later in range(at + 1, at + size)) else size
    return 0


def _is_attribution(text: str, *, folded: bool) -> bool:
    if not (any(char.isdigit() for char in text) or "@" in text):
        return False
    return _ATTRIBUTION.match(text) is not None or (not folded and _ENDING.match(text) is not None)


def _opens_block(lines: list[str], at: int) -> bool:
    """Whether the head of a quoted or forwarded mail begins here: a divider, or at least three of its fields with the sender
    and the date among them, in any order."""
    if _DIVIDER.match(lines[at]):
        return True
    start = at + 1 if _RULE.match(lines[at]) else at
    if start == at and not _FIELD.match(lines[at]):
        return False
    kinds: list[str] = []
    for line in lines[start : start + LOOK_AHEAD]:
        found = _FIELD.match(line)
        if found is None:
            if kinds and line.strip() and not line.startswith((" ", "\t")):
                break
            continue
        kinds.append(found.lastgroup or "")
    return len(kinds) >= 3 and "from" in kinds and "when" in kinds
