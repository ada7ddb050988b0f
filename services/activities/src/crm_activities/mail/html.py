"""HTML of mails, cleaned once and the same way for what is sent and what is received, and its text.

What is stored is clean. Images from other servers stay in it and are blocked when it is read, because they tell their
server that, when and where a mail is read.
"""

import re
from collections import Counter
from functools import partial
from html import escape
from html.parser import HTMLParser
from typing import Final

import nh3

_TAGS: Final = (
    "a abbr address b blockquote br caption center cite code col colgroup dd del dfn div dl dt em "
    "figcaption figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span "
    "strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr"
)
TAGS: Final = frozenset(_TAGS.split())
ATTRIBUTES: Final = {
    "*": {"align", "bgcolor", "class", "color", "dir", "height", "lang", "style", "title", "valign", "width"},
    "a": {"href", "name"},
    "img": {"src", "alt"},
    "font": {"face", "size"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "blockquote": {"cite", "type"},
}
_STYLES: Final = (
    "background-color border border-bottom border-collapse border-color border-left border-radius border-right "
    "border-spacing border-style border-top border-width color direction display font-family font-size font-style "
    "font-weight height letter-spacing line-height margin margin-bottom margin-left margin-right margin-top "
    "max-width min-width padding padding-bottom padding-left padding-right padding-top text-align text-decoration "
    "text-indent text-transform vertical-align white-space width"
)
STYLES: Final = frozenset(_STYLES.split())
"""Properties without a value that loads something, moves content over other content, or hides where a link leads."""
SCHEMES: Final = frozenset({"http", "https", "mailto", "tel", "cid"})
BLOCKED: Final = "data-blocked-src"
"""The attribute with the address of an image that was blocked."""

_clean = partial(
    nh3.clean,
    tags=set(TAGS),
    clean_content_tags={"script", "style", "title", "head", "svg", "math", "noscript", "template", "iframe", "object"},
    strip_comments=True,
    link_rel="noopener noreferrer nofollow",
    url_schemes=set(SCHEMES),
    filter_style_properties=set(STYLES),
)


def _loads_nothing(tag: str, name: str, value: str) -> str | None:
    """A value of a style that calls a function may load something; images have no address without a scheme to load from."""
    if name == "style" and ("url(" in value.lower() or "\\" in value or "expression(" in value.lower()):
        return None
    if tag == "img" and name == "src" and not re.match(r"(?:https?|cid):", value, re.IGNORECASE):
        return None
    return value


_FORMATTING: Final = re.compile(
    r"<(/?)(?:big|b|code|em|font|i|nobr|small|strike|strong|s|tt|u)(?=[\s/>])", re.IGNORECASE
)
_PLAIN_TAG: Final = re.compile(
    r"""<\w+(?:[\s/]+[\w:.-]+(?:\s*=\s*(?:"[^">]*"|'[^'>]*'|[^\s"'=<>`]+))?)*+[\s/]*+>""", re.IGNORECASE
)
MOST_REPEATED: Final = 1_000_000
"""The most formatting elements that a parser may write again, in all."""
MANY_OPEN: Final = 100
MOST_REPEATED_OF_MANY: Final = 100_000
"""Of more formatting elements that may be open at once, fewer may be written again, since depth costs time too."""


def _repeats_much(html: str) -> bool:
    """Return whether unclosed formatting may be repeated too often. This takes linear time.

    A parser opens formatting elements again in each block, and of equal ones at most three (HTML Standard, 13.2.4.3).
    """
    seen: Counter[str] = Counter()
    unknown = 0
    for found in _FORMATTING.finditer(html):
        if not found[1]:
            if tag := _PLAIN_TAG.match(html, found.start()):
                seen[tag[0]] += 1
            else:
                unknown += 1
    most_open = unknown + sum(min(count, 3) for count in seen.values())
    return most_open * html.count("<") > (MOST_REPEATED_OF_MANY if most_open > MANY_OPEN else MOST_REPEATED)


def clean_html(html: str) -> str:
    """Return HTML that runs nothing and loads nothing but images. Cleaning it again changes nothing.

    Formatting that would be repeated very often becomes spans. Links open without a referrer.
    Kept schemes are http, https, mailto, tel and cid (RFC 2392: parts of the same mail).
    """
    html = html.replace("\x00", "")
    if _repeats_much(html):
        # No parser repeats a span. Its text, style and color stay.
        html = _FORMATTING.sub(r"<\1span", html)
    once = _clean(html, attributes=ATTRIBUTES, attribute_filter=_loads_nothing)
    # A parser may read what a serialiser wrote differently once; after the second time it is stable.
    return _clean(once, attributes=ATTRIBUTES, attribute_filter=_loads_nothing)


def without_remote_images(html: str) -> str:
    """Return cleaned HTML in which images of other servers are not loaded; ``data-blocked-src`` has their address."""
    parser = _Blocking()
    parser.feed(html)
    parser.close()
    return "".join(parser.written)


class _Blocking(HTMLParser):
    """Writes what it reads, with another name for the source of remote images. It reads only what nh3 wrote."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.written: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag != "img" or "src" not in given or (given["src"] or "").lower().startswith("cid:"):
            self.written.append(self.get_starttag_text() or "")
            return
        # Browsers take more for an address of another server than a pattern finds, such as https:\\host.
        renamed = {BLOCKED if name == "src" else name: value or "" for name, value in given.items()}
        self.written.append("<img" + "".join(f' {name}="{escape(value)}"' for name, value in renamed.items()) + ">")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self.written.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.written.append(data)

    def handle_entityref(self, name: str) -> None:
        self.written.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.written.append(f"&#{name};")


_BLOCK_TAGS: Final = (
    "address blockquote center div dl dd dt figure figcaption h1 h2 h3 h4 h5 h6 hr li ol p pre table tr ul"
)
_BLOCKS: Final = frozenset(_BLOCK_TAGS.split())
_APART: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "pre"})


def text_of(html: str) -> str:
    """Return the text of cleaned HTML: blocks in lines of their own, items with a dash, links with their address."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    return parser.text()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = [""]
        self._links: list[tuple[str, int, int]] = []
        """The open links: their address, and the line and column of their text."""
        self._kept = 0
        """The number of open elements in which white space counts."""

    def text(self) -> str:
        """Return the text read so far, with at most one empty line in a row."""
        lines = [line.rstrip() for line in self._lines]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n").strip()

    def _break(self, lines: int = 1) -> None:
        if self._lines[-1].strip():
            self._lines.extend([""] * lines)
        elif lines == 2 and len(self._lines) > 1 and self._lines[-2].strip():
            self._lines.append("")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "br":
            self._lines.append("")
        elif tag in _BLOCKS:
            self._break(2 if tag in _APART else 1)
        if tag == "li":
            self._lines[-1] += "- "
        elif tag == "hr":
            self._lines[-1] += "---"
            self._break()
        elif tag == "pre":
            self._kept += 1
        elif tag in ("td", "th") and self._lines[-1].strip():
            self._lines[-1] += "  "
        elif tag == "img" and given.get("alt"):
            self._lines[-1] += f"[{given['alt']}]"
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self._lines) - 1, len(self._lines[-1])))

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre" and self._kept:
            self._kept -= 1
        if tag == "a" and self._links:
            address, line, column = self._links.pop()
            shown = "\n".join(self._lines[line:])[column:].strip()
            plain = address.removeprefix("mailto:").removeprefix("tel:")
            if plain and shown and plain.rstrip("/") != shown.rstrip("/") and not address.startswith("cid:"):
                self._lines[-1] += f" <{plain}>"
        if tag in _BLOCKS:
            self._break(2 if tag in _APART else 1)

    def handle_data(self, data: str) -> None:
        if self._kept:
            first, *rest = data.split("\n")
            self._lines[-1] += first
            self._lines.extend(rest)
            return
        words = re.sub(r"[ \t\r\n\f]+", " ", data)
        line = self._lines[-1]
        self._lines[-1] += words.lstrip(" ") if not line or line.endswith(" ") else words
