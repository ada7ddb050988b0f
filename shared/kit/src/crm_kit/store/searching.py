"""What the database keeps so that records are found by text: a column that a trigger fills, and the functions that fold text.

A generated column would do the same, but its rule could be changed only by rewriting the table while nobody uses it. A trigger
can be replaced, and the rows are done again in chunks (``crm_kit.schema.v0010_searching``). ``search_rule`` says by which rule a
row was done.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from sqlalchemy import Column, MetaData, SmallInteger, Table, Text
from sqlalchemy.orm import MappedColumn, mapped_column

from crm_kit.folding import ACUTE, DROPPED, SEPARATORS, SEVERAL, SINGLE, UNSPACED, USUAL_CAPITALS, capitals

RULE: Final = 2
"""The version of the rule. A new one needs a revision that installs it and does the rows again."""
SEARCHED: Final = "searched"
_KEPT: Final = "kept by a trigger"
TEXT: Final = "search_text"
STAMP: Final = "search_rule"


PLAIN: Final = frozenset({"number", "email", "phone", "mobile_phone", "phone_number", "website", "code"})
"""Columns whose text is nearly always ASCII."""


@dataclass(frozen=True, slots=True)
class Fill:
    """A column that the trigger fills as well: its name, its definition, and the SQL of its value from the row ``new``."""

    column: str
    definition: str
    value: str


@dataclass(frozen=True, slots=True)
class Searched:
    """The columns whose text a search finds, and ``more`` text as SQL. ``person`` are the columns of a family name and a given
    name: where a script has no spaces, people write them together, in either order."""

    columns: tuple[str, ...]
    person: tuple[str, str] | None = None
    more: tuple[str, ...] = ()
    fills: tuple[Fill, ...] = ()

    def function(self, table: str) -> str:
        """Return the statement that makes the function of a table's trigger, or replaces it."""
        # What is nearly always ASCII is folded by itself, because that is quickly done.
        plain = ", ".join(f"new.{name}" for name in self.columns if name in PLAIN)
        other = ", ".join([*(f"new.{name}" for name in self.columns if name not in PLAIN), *self.more])
        text = ", ".join(f"public.crm_folded(concat_ws(' ', {some}))" for some in (other, plain) if some)
        person = "".join(f", new.{column}" for column in self.person or ())
        fills = "".join(f" new.{fill.column} := {fill.value};" for fill in self.fills)
        return (
            f"create or replace function public.{trigger_of(table)}() returns trigger language plpgsql as $$ begin"
            f" new.{TEXT} := public.crm_searched(concat_ws(' ', {text}){person}); new.{STAMP} := {RULE};{fills}"
            " return new; end $$"
        )

    def statements(self, table: str) -> Iterator[str]:
        """Yield the statements that make the trigger of a table, or replace it."""
        yield self.function(table)
        yield f'drop trigger if exists {trigger_of(table)} on public."{table}"'
        yield (
            f'create trigger {trigger_of(table)} before insert or update on public."{table}"'
            f" for each row execute function public.{trigger_of(table)}()"
        )


def search_column(
    *columns: str, person: tuple[str, str] | None = None, more: tuple[str, ...] = (), fills: tuple[Fill, ...] = ()
) -> MappedColumn[str]:
    """A column that a trigger fills with the folded text of these columns, for a trigram index."""
    kept = Searched(columns, person, more, fills)
    return mapped_column(Text, server_default="", sort_order=99, info={_KEPT: True, SEARCHED: kept})


def search_rule() -> MappedColumn[int]:
    """The version of the rule by which the trigger filled the search column of a row; 0 before it did."""
    return mapped_column(SmallInteger, server_default="0", sort_order=100, info={_KEPT: True})


def kept_column() -> dict[str, bool]:
    """The ``info`` of a column that the trigger fills."""
    return {_KEPT: True}


def is_kept(column: Column[object]) -> bool:
    """Whether the database fills this column, so that nothing writes it."""
    return column.computed is not None or _KEPT in column.info


def searched(table: Table) -> Searched | None:
    """Return what is searched in a table; None if it has no search column."""
    return table.c[TEXT].info.get(SEARCHED) if TEXT in table.c else None


def triggers(metadata: MetaData) -> dict[str, Searched]:
    """Return what is searched, by table."""
    found = ((table.name, searched(table)) for table in metadata.sorted_tables)
    return {name: one for name, one in found if one is not None}


def installing(metadata: MetaData) -> list[str]:
    """Return the statements that make the functions, and the triggers of these tables."""
    made = triggers(metadata).items()
    return [*functions(), *(step for table, searched in made for step in searched.statements(table))]


def trigger_of(table: str) -> str:
    """Return the name of the trigger of a table."""
    return f"{table}_searched"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


LEGAL_FORMS: Final = (
    "gmbh|mbh|ag|kg|kgaa|ohg|gbr|ug|ek|ev|se|ltd|limited|llc|llp|lp|inc|incorporated|corp|corporation|co|company|plc|pty|pte|sa|sas"
    "|sarl|sasu|srl|spa|sl|slu|bv|nv|vof|ab|hb|oy|oyj|as|asa|aps|kk|gk|ooo|ооо|оао|зао|пао|ао|тов|spzoo|sro|kft|zrt|ltda|eirl|doo"
    "|ou|uab|sia|ad|eood|sicav"
)
"""Legal forms of companies that are words of their own, as a regular expression of folded words without dots."""
LEGAL_SIGNS: Final = (
    "[(][株有주][)]|株式会社|有限会社|合同会社|合名会社|合資会社"
    + "|股份有限公司|有限责任公司|有限責任公司|有限公司|주식회사|유한회사"
)
"""Legal forms of scripts without spaces, before or after the name."""

USUAL: Final = "-@.+'"
"""The separators that most rows have. PostgreSQL replaces one character much faster than it translates many."""
_RARE: Final = r"/_,;:()&\"\\|<>\[\]\t\n\r・、。"
"""The other separators, as the inside of a bracket of a regular expression."""

SORTED: Final = 200
"""The characters of a text by which it is sorted. An entry of an index has at most 2,704 bytes."""

_FOLDED: Final = f"""
create or replace function public.crm_folded(given text) returns text language plpgsql immutable strict parallel safe as $$
declare
  found text;
begin
  if octet_length(given) = length(given) then
    return replace(lower(given collate "C"), '`', '''');
  end if;
  found := normalize(replace(given, '{ACUTE}', ''''), NFKD);
  found := regexp_replace(found, '[{DROPPED}]+', '', 'g');
  if octet_length(found) = length(found) then
    return replace(lower(found collate "C"), '`', '''');
  end if;
  found := lower(normalize(found, NFKC) collate "C");
  {{usual}}
  {{rare}}
  if found ~ '[{SINGLE[0]}]' then
    found := translate(found, {_quoted(SINGLE[0])}, {_quoted(SINGLE[1])});
  end if;
  if found ~ '[{"".join(SEVERAL)}]' then
    found := {"replace(" * len(SEVERAL)}found{"".join(f", {_quoted(one)}, {_quoted(two)})" for one, two in SEVERAL.items())};
  end if;
  return found;
end $$
"""
"""The twin of ``crm_kit.folding.folded``."""

_OTHERS: Final = (
    # Words of scripts without spaces are repeated from each of their characters, because an index of trigrams finds one or two
    # characters at the beginning of a word only.
    f"""
create or replace function public.crm_searched(folded text, family text default null, first text default null) returns text
language plpgsql immutable parallel safe as $$
declare
  found text := ' ' || {"replace(" * len(USUAL)}folded{"".join(f", {_quoted(one)}, ' ')" for one in USUAL)};
begin
  if found ~ {_quoted(f"[{_RARE}]")} then
    found := translate(found, {_quoted(SEPARATORS)}, repeat(' ', {len(SEPARATORS)}));
  end if;
  if octet_length(found) = length(found) or found !~ '[{UNSPACED}]' then
    return found;
  end if;
  if family || first ~ '[{UNSPACED}]' then
    folded := public.crm_folded(' ' || family || first || ' ' || first || family);
  else
    folded := '';
  end if;
  return found || (
    select coalesce(string_agg(' ' || substr(run[1], i, 2), ''), '')
    from regexp_matches(found, '[{UNSPACED}]+', 'g') run cross join generate_series(1, length(run[1])) i
  ) || folded;
end $$
""",
    # The name of a company without its legal form, which says little about which company it is.
    f"""
create or replace function public.crm_company(given text) returns text language plpgsql immutable strict parallel safe as $$
declare
  folded text := public.crm_folded(given);
  found text := folded;
begin
  if octet_length(found) <> length(found) then
    found := regexp_replace(found, '{LEGAL_SIGNS}', ' ', 'g');
  end if;
  found := regexp_replace(translate(found, '-_+,;:()&./', '         '), '\\s+', '  ', 'g');
  found := btrim(regexp_replace(' ' || found || ' ', ' ({LEGAL_FORMS}) ', ' ', 'g'));
  found := regexp_replace(found, '\\s+', ' ', 'g');
  return case when found = '' then folded else found end;
end $$
""",
    # What names are sorted by: folded, and if that is equal as they are. No text of one line has the character between.
    f"""
create or replace function public.crm_sort_key(given text) returns bytea language plpgsql immutable strict parallel safe as $$
begin
  return convert_to(left(public.crm_folded(ltrim(given)), {SORTED}) || E'\\x01' || left(given, {SORTED}), 'UTF8');
end $$
""",
)


def sort_key(text: str) -> str:
    """Return the SQL of what texts that people read are sorted by: folded, and if that is equal as they are.

    The result has the type bytea, whose order is the same on every server, whatever the locale of the database.
    """
    return f"public.crm_sort_key({text})"


def _ranges(letters: Iterable[str]) -> str:
    """Return the inside of a bracket of a regular expression with these letters, which are in order."""
    ranges: list[list[str]] = []
    for letter in letters:
        if ranges and ord(letter) == ord(ranges[-1][1]) + 1:
            ranges[-1][1] = letter
        else:
            ranges.append([letter, letter])
    return "".join(first if first == last else f"{first}-{last}" for first, last in ranges)


def _small(letters: Mapping[str, str]) -> str:
    """Return the SQL that replaces capital letters in ``found``. Most texts have none, which a pattern finds sooner."""
    return (
        f"if found ~ '[{_ranges(letters)}]' then"
        f" found := translate(found, '{''.join(letters)}', '{''.join(letters.values())}'); end if;"
    )


@cache
def functions() -> tuple[str, ...]:
    """Return the statements that make the functions which fold text. Those of an index are immutable, so that a changed rule
    needs a new index. None depends on the locale of the database: some servers fold only ASCII."""
    begin, end = USUAL_CAPITALS
    usual: dict[str, str] = {}
    rare: dict[str, str] = {}
    for capital, small in capitals().items():
        (usual if begin <= ord(capital) < end else rare)[capital] = small
    return (_FOLDED.format(usual=_small(usual), rare=_small(rare)), *_OTHERS)
