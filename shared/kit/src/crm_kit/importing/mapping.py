"""Makes the body of a create or a change from the cells of a row: maps columns to fields and converts text to values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from crm_contracts.sentences import said
from crm_kit.errors import DomainError, FieldError
from crm_kit.importing.cells import WRONG, conversion
from crm_kit.importing.fields import Kind, field_kinds
from crm_kit.importing.formats import Formats, Unread
from crm_kit.importing.importer import Importer
from crm_kit.importing.naming import Naming, address, namings_of

OWNER: Final = "owner"
"""A pseudo field that names the owner: the e-mail address or the name of an active user, or the name of a team."""
OWNER_EMAIL: Final = "owner_email"
"""The same, under the name that it had at first."""
NUMBER: Final = "number"

SHOWN: Final = 200
"""The most characters of a mapping's text that a problem repeats."""

Misfit = tuple[str, str, str]
"""Column, code and message."""


@dataclass(frozen=True, slots=True)
class Target:
    """The field, or the part of a field, that takes a column's text."""

    field: str
    part: str | None
    convert: Callable[[str], Any]
    naming: Naming | None = None
    """How the text names a record, if the field refers to one."""

    @property
    def path(self) -> str:
        """The field with its part."""
        return self.field if self.part is None else f"{self.field}.{self.part}"


class FieldMapping:
    """The mapping of a job. Raises ``invalid-mapping`` unless it fits the schema of the create and the file's columns.

    ``key`` is the field by which rows find the records that they change; None if each row makes a record.
    """

    def __init__(
        self,
        importer: Importer,
        columns: Sequence[str],
        mapping: Mapping[str, str],
        formats: Formats | None = None,
        key: str | None = None,
    ) -> None:
        self._columns = tuple(columns)
        self._formats = formats or Formats()
        self._entity = importer.entity.entity()
        self._kinds = field_kinds(importer.schema)
        self._namings = namings_of(importer)
        self._stored = importer.entity
        self.key = key
        self.known: dict[tuple[Naming, str], UUID | Unread] = {}
        """What the references of the rows in hand name, by the text of the cell."""
        self._targets: list[tuple[int, Target]] = []
        self._constants: list[tuple[str, Target]] = []
        for source, path in mapping.items():
            target = self._target(source, path)
            if source.startswith("="):
                self._constants.append((source[1:], target))
            elif source in self._columns:
                self._targets.append((self._columns.index(source), target))
            else:
                raise _refused(
                    source, "unknown-column", said("The file has no column {source!r}.", source=source[:SHOWN])
                )
        if not self._targets:
            raise _nothing_known(importer)
        self._add_currency()
        self._fed = {target.field for _, target in self._targets}
        if key is not None and key not in self._fed:
            message = said("Send a column for {key}: rows find the records that they change by it.", key=key)
            raise DomainError("invalid-mapping", message, (FieldError("/key", "unknown-column", message),))
        self._unnamed = [index for index, column in enumerate(self._columns) if not column]
        by_name = all(source == path for source, path in mapping.items())
        self._whole = [
            index
            for index, column in enumerate(self._columns)
            if by_name and column in self._kinds and self._kinds[column].has_parts and column not in mapping
        ]
        places: dict[tuple[str, str | None], list[int]] = {}
        for index, target in self._targets:
            places.setdefault((target.field, target.part), []).append(index)
        self._shared = [indexes for indexes in places.values() if len(indexes) > 1]

    def _target(self, source: str, path: str) -> Target:
        if path in (OWNER, OWNER_EMAIL):
            return Target(OWNER, None, str.strip)
        if path == self.key == NUMBER and NUMBER not in self._kinds:
            return Target(NUMBER, None, str.strip)
        if (naming := self._namings.get(path)) is not None:
            return Target(naming.field, None, partial(self._refer, naming), naming)
        field, _, part = path.partition(".")
        kind = self._kinds.get(field)
        if kind is None:
            allowed = ", ".join([*self._kinds, *self._namings, OWNER])
            raise _refused(
                source,
                "unknown-field",
                said("There is no field {path!r}. Choose one of: {allowed}.", path=path[:SHOWN], allowed=allowed),
            )
        if kind.name == "money" and not part and self._formats.currency is not None:
            part = "amount"
        if kind.has_parts and not part:
            example = next(iter(kind.parts))
            raise _refused(
                source,
                "invalid-value",
                said("Name each part of {field} separately, such as {field}.{example}.", field=field, example=example),
            )
        if part and not kind.has_parts:
            raise _refused(source, "invalid-value", said("Name {field} alone: it has no parts.", field=field))
        member = kind.parts.get(part, Kind()) if part else kind
        return Target(field, part or None, conversion(member, self._formats, self._entity, part or field))

    def _add_currency(self) -> None:
        """Add the currency of the file to each amount that has none of its own."""
        if self._formats.currency is None:
            return
        parts = {(target.field, target.part) for _, target in self._targets}
        parts |= {(target.field, target.part) for _, target in self._constants}
        for field, part in sorted(parts, key=str):
            if part == "amount" and self._kinds[field].name == "money" and (field, "currency") not in parts:
                self._constants.append((self._formats.currency, Target(field, "currency", str)))

    def _refer(self, naming: Naming, text: str) -> Any:
        found = [self.known.get((naming, one)) for one in naming.split(text)]
        for one in found:
            if isinstance(one, Unread):
                raise one
        return naming.value([one for one in found if isinstance(one, UUID)])

    def column_of(self, place: Sequence[str]) -> str:
        """Return the file's column of a field or of its part. Without a column, it is the name of the field with its part."""
        field, part = place[0], ".".join(place[1:]) or None
        fed = [(target.part, self._columns[index]) for index, target in self._targets if target.field == field]
        exact = [column for known, column in fed if known in (part, None)]
        # An error of a whole field is reported at the column of its first part.
        return exact[0] if exact else fed[0][1] if fed and part is None else ".".join(place)

    def column_beside(self, place: Sequence[str]) -> str:
        """Return the file's column of another part of the same field. Use it if this part is missing."""
        return self.column_of([place[0]])

    def misfit(self, cells: Sequence[str]) -> Misfit | None:
        """Return why the cells of a row may be in wrong columns, as (column, code, message); None if they match the header."""
        if len(cells) != len(self._columns):
            message = said(
                "The row has {cells} cells and the header {columns}. Put a cell that contains the delimiter in "
                "double quotes.",
                cells=len(cells),
                columns=len(self._columns),
            )
            return "", "wrong-number-of-cells", message
        for index in self._unnamed:
            if cells[index].strip():
                return (
                    "",
                    "unnamed-column",
                    said("Give column {position} a name in the header: the row has a cell there.", position=index + 1),
                )
        for index in self._whole:
            if cells[index].strip():
                column = self._columns[index]
                example = next(iter(self._kinds[column].parts))
                message = said(
                    "Send each part of {column} by itself, such as a column {column}.{example}.",
                    column=column,
                    example=example,
                )
                return column, "invalid-value", message
        for index, _ in self._targets:
            if cells[index].startswith("#") and (what := WRONG.get(cells[index].strip())) is not None:
                return self._columns[index], "spreadsheet-error", what
        for indexes in self._shared:
            if len({text for index in indexes if (text := cells[index].strip())}) > 1:
                named = " and ".join(self._columns[index] for index in indexes)
                return (
                    self._columns[indexes[0]],
                    "contradiction",
                    said("Send one value: {columns} feed the same field and differ.", columns=named),
                )
        return None

    def owner(self, cells: Sequence[str]) -> str | None:
        """Return what names the row's owner, or None if no column or constant does."""
        return self._text_of(OWNER, cells)

    def key_of(self, cells: Sequence[str]) -> str | None:
        """Return what the row says of the field by which it finds its record; None if it says nothing."""
        return None if self.key is None else self._text_of(self.key, cells)

    def _text_of(self, field: str, cells: Sequence[str]) -> str | None:
        for text, target in self._constants:
            if target.field == field:
                return text
        for index, target in self._targets:
            if target.field == field and index < len(cells) and cells[index].strip():
                return cells[index].strip()
        return None

    def named(self, rows: Sequence[Sequence[str]]) -> dict[Naming, set[str]]:
        """Return what the references of these rows say, for ``known``."""
        found: dict[Naming, set[str]] = {}
        for index, target in self._targets:
            if target.naming is not None:
                texts = {one for cells in rows if index < len(cells) for one in target.naming.split(cells[index])}
                found.setdefault(target.naming, set()).update(texts)
        for text, target in self._constants:
            if target.naming is not None:
                found.setdefault(target.naming, set()).update(target.naming.split(text))
        return found

    @property
    def names_its_kind(self) -> bool:
        """Whether rows name records of the kind that they make, such as the parent of an account."""
        return any(one.naming is not None and one.naming.kind is self._stored for _, one in self._targets)

    def names_of_its_kind(self, cells: Sequence[str]) -> set[str]:
        """Return by which texts a row names records of its own kind, with e-mail addresses as they are compared."""
        texts = {
            one
            for index, target in self._targets
            if target.naming is not None and target.naming.kind is self._stored and index < len(cells)
            for one in target.naming.split(cells[index])
        }
        return texts | {address(one) for one in texts}

    def called(self, cells: Sequence[str]) -> set[str]:
        """Return by which texts other rows may name the record of a row."""
        number, name, email = (self._text_of(field, cells) for field in (NUMBER, "name", "email"))
        person = " ".join(filter(None, (self._text_of(field, cells) for field in ("first_name", "last_name"))))
        return {one for one in (number, name, email and address(email), person) if one}

    def body(self, cells: Sequence[str]) -> tuple[dict[str, Any], list[Misfit]]:
        """Return the body of the create, and what of the row has the wrong form.

        Empty cells are left out, and with them constants of the same field.
        """
        body: dict[str, Any] = {}
        wrong: list[Misfit] = []
        for index, target in self._targets:
            text = cells[index] if index < len(cells) else ""
            if text and not text.isspace() and self._is_field(target):
                try:
                    _put(body, target, target.convert(text))
                except Unread as unread:
                    wrong.append((self._columns[index], unread.code, str(unread)))
        for text, target in self._constants:
            # A constant currency without an amount does not make a value.
            alone = target.part is not None and target.field in self._fed and target.field not in body
            if self._is_field(target) and not alone:
                try:
                    _put(body, target, target.convert(text))
                except Unread as unread:
                    wrong.append((target.path, unread.code, str(unread)))
        return body, wrong

    def change(self, cells: Sequence[str], *, clear: bool) -> tuple[dict[str, Any], list[Misfit]]:
        """Return the merge patch of a row, and what of the row has the wrong form.

        Only with ``clear``, an empty cell clears its field. An object without one of its required members is cleared as a whole.
        """
        body, wrong = self.body(cells)
        if self.key == NUMBER:
            body.pop(NUMBER, None)
        if clear:
            for index, target in self._targets:
                if not cells[index].strip() and self._is_field(target) and target.field != self.key:
                    if target.part is None or self._kinds[target.field].required:
                        body.setdefault(target.field, [] if self._is_list(target) else None)
                    elif (whole := body.setdefault(target.field, {})) is not None:
                        whole.setdefault(target.part, None)
        return body, wrong

    def _is_list(self, target: Target) -> bool:
        return self._kinds[target.field].name == "array"

    def _is_field(self, target: Target) -> bool:
        return target.field in self._kinds


def _put(body: dict[str, Any], target: Target, value: Any) -> None:
    """Put a value into the body. A value of a column has precedence over a constant."""
    if target.part is None:
        body.setdefault(target.field, value)
    else:
        body.setdefault(target.field, {}).setdefault(target.part, value)


def _nothing_known(importer: Importer) -> DomainError:
    names = [*field_kinds(importer.schema), *namings_of(importer), OWNER]
    message = said(
        "No column of the file feeds a field. Send a mapping, or name columns like fields: {allowed}.",
        allowed=", ".join(names),
    )
    return DomainError("invalid-mapping", message, (FieldError("/mapping", "unknown-column", message),))


def default_mapping(
    importer: Importer, columns: Sequence[str], formats: Formats | None = None, key: str | None = None
) -> dict[str, str]:
    """Return the mapping for a file that comes without one: columns with names of fields are mapped, and others left out.

    So is a column of a field with parts, such as ``address``: null there says nothing, and text makes its row a misfit.
    """
    kinds, namings = field_kinds(importer.schema), namings_of(importer)
    whole = formats is not None and formats.currency is not None

    def is_known(column: str) -> bool:
        kind = kinds.get(column)
        if kind is not None and kind.has_parts:
            return whole and kind.name == "money"
        return column in (OWNER, OWNER_EMAIL, key) or column in namings or column.partition(".")[0] in kinds

    return {column: column for column in columns if is_known(column)}


def _refused(source: str, code: str, message: str) -> DomainError:
    pointer = "/mapping/" + source[:SHOWN].replace("~", "~0").replace("/", "~1")
    return DomainError("invalid-mapping", message, (FieldError(pointer, code, message),))
