"""How a file writes numbers and days. Its sender says it; a value in another form is refused, because a guess may be wrong."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, Literal, Self, get_args
from zoneinfo import ZoneInfo

DecimalFormat = Literal["1234.56", "1,234.56", "1.234,56", "1 234,56", "1'234.56"]
DateFormat = Literal["YYYY-MM-DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY", "YYYY/MM/DD", "YYYY年M月D日"]

DECIMALS: Final[tuple[DecimalFormat, ...]] = get_args(DecimalFormat)
DATES: Final[tuple[DateFormat, ...]] = get_args(DateFormat)

_GROUPS: Final[dict[DecimalFormat, str]] = {
    "1234.56": "",
    "1,234.56": ",",
    "1.234,56": r"\.",
    # The spaces that do not break the line, which spreadsheets write, are spaces in NFKC.
    "1 234,56": " ",
    "1'234.56": "['\u2019]",
}
_DIGITS: Final = 40
"""The most digits of a number. The schema of its field allows fewer."""
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LOCAL: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?", re.ASCII)
_PATTERNS: Final[dict[DateFormat, str]] = {
    "YYYY-MM-DD": r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})",
    "DD.MM.YYYY": r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})",
    "DD/MM/YYYY": r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})",
    "MM/DD/YYYY": r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})",
    "YYYY/MM/DD": r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})",
    "YYYY年M月D日": r"(?P<y>\d{4})年(?P<m>\d{1,2})月(?P<d>\d{1,2})日",
}


class Unread(ValueError):  # it is what a cell is
    """A cell cannot be read: it has another form than its field or its file needs, or names nothing.

    ``code`` names the reason, the text says what to do, and ``field`` is the field, unless whoever catches it knows.
    """

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.field = code, field


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of a file, and the one currency of its amounts if it has one."""

    decimal: DecimalFormat = "1234.56"
    date: DateFormat = "YYYY-MM-DD"
    currency: str | None = None
    zone: ZoneInfo | None = None
    """The time zone of times that do not say theirs: that of the organisation."""

    @classmethod
    def of(cls, options: dict[str, Any]) -> Self:
        """Read stored formats."""
        return cls(**{name: options[name] for name in ("decimal", "date", "currency") if name in options})

    @property
    def point(self) -> str:
        """The decimal separator."""
        return "," if self.decimal.endswith(",56") else "."

    def plain(self, text: str) -> str:
        """Return a number of the file as plain decimal text: 1234.56. Raises Unread."""
        text = unicodedata.normalize("NFKC", text)
        group, point = _GROUPS[self.decimal], re.escape(self.point)
        grouped = rf"|\d{{1,3}}(?:{group}\d{{3}})+" if group else ""
        match = re.fullmatch(
            rf"([+-]?)(\d{{1,{_DIGITS}}}{grouped})(?:{point}(\d{{1,{_DIGITS}}}))?", text.strip(), re.ASCII
        )
        if match is None or len(match[2]) > 2 * _DIGITS:
            message = f"Write the number like {self.decimal}, or name the format of the file in `decimal`."
            raise Unread("decimal-format", message)
        sign, whole, rest = match.groups()
        digits = re.sub(r"\D", "", whole)
        return ("-" if sign == "-" else "") + digits + (f".{rest}" if rest is not None else "")

    def day(self, text: str) -> str:
        """Return a day of the file as YYYY-MM-DD. Raises Unread."""
        text = unicodedata.normalize("NFKC", text).strip()
        if _ISO.fullmatch(text):
            return text
        match = re.fullmatch(_PATTERNS[self.date], text, re.ASCII)
        if match is None:
            raise Unread("date-format", f"Write the day as {self.date}, or name the format of the file in `date`.")
        try:
            return date(int(match["y"]), int(match["m"]), int(match["d"])).isoformat()
        except ValueError:
            raise Unread("date", f"Send a day that exists, as {self.date}.") from None

    def moment(self, text: str) -> str:
        """Return an instant in ISO 8601. One without a zone, as a spreadsheet has it, is a time in the time zone of the file.

        Of a time that occurs twice when clocks are set back it is the first. Raises Unread for a time that clocks skip.
        """
        stripped = text.strip()
        if self.zone is None or not _LOCAL.fullmatch(stripped):
            return stripped
        try:
            local = datetime.fromisoformat(stripped).replace(tzinfo=self.zone)
            at = local.astimezone(UTC)
        except (ValueError, OverflowError):
            return stripped
        if at.astimezone(self.zone).replace(tzinfo=None) != local.replace(tzinfo=None):
            raise Unread(
                "skipped-time", f"Clocks in {self.zone.key} skip this time. Send another one, or send its zone."
            )
        return at.isoformat().replace("+00:00", "Z")

    def written(self, value: Any) -> str:
        """Return a typed value, such as a cell of a workbook, as this file writes it.

        The error report then shows one form, and a number is not read by the rules of another format.
        """
        match value:
            case bool():
                return "true" if value else "false"
            case datetime() if value.time() == time():
                return value.date().isoformat()
            case datetime() | date() | time():
                return value.isoformat()
            case Decimal() | int():
                return f"{value:f}".replace(".", self.point) if isinstance(value, Decimal) else str(value)
        return str(value)
