"""A document as PDF, in any of the languages that its fonts have."""

import io
from functools import cache
from html import escape
from typing import Any

from crm_activities.document.domain import Page, runs

PLAIN = "Vera"
"""The font of Latin text. The library brings it, and it is embedded."""


def pdf_of(page: Page) -> bytes:
    """Return the document. It takes milliseconds to a second of a processor, so call it in a thread."""
    from reportlab.lib.pagesizes import A4, LETTER  # the library takes 15 MiB, and most processes print nothing
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer

    faces = _faces(page.wide)
    body = ParagraphStyle("body", fontName=PLAIN, fontSize=10.5, leading=15, wordWrap="CJK" if faces else None)
    small = ParagraphStyle("small", parent=body, fontSize=8, leading=11)
    bold = ParagraphStyle("subject", parent=body, fontSize=12, leading=17, spaceAfter=4 * mm)

    def paragraphs(text: str, style: Any) -> list[Any]:
        return [
            Paragraph(_marked(line, page.wide), style) if line.strip() else Spacer(1, style.leading / 2)
            for line in text.split("\n")
        ]

    # The address stands where the window of an envelope shows it (DIN 5008, form B).
    story: list[Any] = [*paragraphs(page.sender, small), Spacer(1, 3 * mm)]
    story += [one for line in page.recipient for one in paragraphs(line, body)]
    story += [Spacer(1, 14 * mm), *paragraphs(page.date, body), Spacer(1, 6 * mm), *paragraphs(page.subject, bold)]
    if page.cover is not None:
        story += [*paragraphs(page.cover, body), PageBreak()]
    story += paragraphs(page.text, body)
    into = io.BytesIO()
    SimpleDocTemplate(
        into,
        pagesize=A4 if page.paper == "a4" else LETTER,
        leftMargin=25 * mm,
        rightMargin=20 * mm,
        topMargin=45 * mm,
        bottomMargin=20 * mm,
        title=page.subject,
        author=page.sender,
        invariant=1,
    ).build(story)
    return into.getvalue()


def _marked(text: str, wide: str) -> str:
    has = _characters()
    return "".join(
        escape(part) if plain else f'<font name="{wide}">{escape(part)}</font>'
        for plain, part in runs(text, lambda one: ord(one) in has)
    )


@cache
def _faces(wide: str) -> bool:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont

    pdfmetrics.registerFont(UnicodeCIDFont(wide))
    return bool(_characters())


@cache
def _characters() -> frozenset[int]:
    """Return the characters of the plain font, and register it."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    font = TTFont(PLAIN, "Vera.ttf")
    pdfmetrics.registerFont(font)
    return frozenset(font.face.charToGlyph)
