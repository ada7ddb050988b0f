"""The rules of likeness as SQL: whole lists of somebodies against what is stored, in one statement.

Equal e-mail addresses, whatever their case; a telephone number that both have, whichever of the two it is; names with a
trigram similarity (pg_trgm) of 0.6, which a migration made this database's threshold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.store.database import fetch
from crm_kit.store.parameters import Parameters
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.duplicates.likeness import Likeness, Somebody, likeness_of
from crm_sales.lead.model import Lead

Field = Literal["email", "phone", "mobile_phone", "name"]
Reason = Literal["email", "phone", "name"]
FIELDS: tuple[Field, ...] = ("email", "phone", "mobile_phone", "name")

Wanted = tuple[int, Likeness]
"""Whom to look for, under a number by which matches tell who was meant."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to look. ``similar`` is the condition on names, which an index must serve; ``only`` leaves rows out."""

    table: str
    name: str
    similar: str
    mobile: str
    company: str = "null::text"
    only: str = "true"


# No trigram index of its own: a lead's name is a piece of its search_text, so the index of that finds every row whose name
# is similar, and more. A piece's similarity to the whole is at least that of the names (word_similarity in pg_trgm's manual).
LEADS = Target(
    table="lead",
    name="case when t.last_name is null then t.company_name else concat_ws(' ', t.first_name, t.last_name) end",
    similar="p.name <% t.search_text and (t.last_name is not null) = p.person and lower({name}) % p.name",
    mobile="t.mobile_phone",
    company="t.company_name",
    # What a qualified lead became is compared instead.
    only="t.status <> 'qualified'",
)
LEADS_OF_THE_KIND = Target(
    table=LEADS.table,
    name=LEADS.name,
    similar=LEADS.similar,
    mobile=LEADS.mobile,
    company=LEADS.company,
    only=f"{LEADS.only} and (t.last_name is not null) = p.person",
)
CONTACTS = Target(table="contact", name="t.full_name", similar="lower(t.full_name) % p.name", mobile="t.mobile_phone")
ACCOUNTS = Target(table="account", name="t.name", similar="lower(t.name) % p.name", mobile="null::text")

OF_THE_SAME_ENTITY: dict[type[Somebody], Target] = {Lead: LEADS, Contact: CONTACTS, Account: ACCOUNTS}


@dataclass(frozen=True, slots=True)
class Match:
    """A record that is likely the one that was looked for, and why."""

    wanted: int
    type: str
    id: UUID
    number: str | None
    name: str
    company_name: str | None
    email: str | None
    phone: str | None
    mobile_phone: str | None
    created_at: datetime
    owner_id: UUID
    business_unit_id: UUID
    fields: tuple[Field, ...]
    """Those of whom was looked for that match."""
    similarity: float | None
    """Of the names, 0 to 1; null when they are not similar."""

    @property
    def reasons(self) -> list[Reason]:
        """``email``, ``phone``, ``name``: a telephone number is one reason, whichever of the two it is."""
        return list(dict.fromkeys("phone" if field == "mobile_phone" else field for field in self.fields))


def targets_of(record: Somebody, likeness: Likeness) -> list[Target]:
    """Where a record may be known already: among its own kind of record, and among what it may become or has been."""
    match record:
        case Contact():
            return [CONTACTS, LEADS_OF_THE_KIND]
        case Account():
            return [ACCOUNTS, LEADS_OF_THE_KIND]
    return [LEADS, CONTACTS if likeness.kind == "person" else ACCOUNTS]


def searches_for(records: Iterable[Somebody]) -> list[tuple[Target, list[Wanted]]]:
    """Where to look for records, each under its position."""
    searches: dict[Target, list[Wanted]] = {}
    for position, record in enumerate(records):
        likeness = likeness_of(record)
        if not likeness.empty:
            for target in targets_of(record, likeness):
                searches.setdefault(target, []).append((position, likeness))
    return list(searches.items())


WANTED_COLUMNS = {
    "n": "int",
    "id": "uuid",
    "email": "text",
    "phone": "text",
    "mobile": "text",
    "name": "text",
    "person": "boolean",
    "at": "timestamptz",
}
WANTED = """(
    select n, id, lower(email) as email, phone, mobile, lower(name) as name, person, at
    from unnest({n}, {id}, {email}, {phone}, {mobile}, {name}, {person}, {at})
        w (n, id, email, phone, mobile, name, person, at)
)"""

# Of arrays the planner looks at the length, each time anew, and that takes longer than the search for one.
ONE_WANTED = """(
    select {n} as n, {id} as id, lower({email}) as email, {phone} as phone, {mobile} as mobile, lower({name}) as name,
        {person} as person, {at} as at
)"""

# Each rule has its index; the planner combines them.
SEARCH = """
select p.n as wanted, t.* from {wanted} p cross join lateral (
    select '{table}' as type, t.id, t.number, {name} as name, {company} as company_name, t.email, t.phone,
        {mobile} as mobile_phone, t.created_at, t.owner_id,
        t.business_unit_id,
        coalesce(lower(t.email) = p.email, false) as by_email,
        coalesce(p.phone in (t.phone, {mobile}), false) as by_phone,
        coalesce(p.mobile in (t.phone, {mobile}), false) as by_mobile,
        case when {similar} then similarity(lower({name}), p.name) end as by_name
    from {candidates} t
    order by by_email desc, by_phone desc, by_mobile desc, by_name desc nulls last, t.id limit {limit}
) t
"""

# Names apart: of a common one only so many are compared, and none of them in the place of an equal address or number.
CANDIDATES = """(
    (select t.* from {table} t where {equal} and {rest} {most})
    union all
    (select t.* from {table} t where ({similar}) and {equal} is not true and {rest} {most})
)"""
EQUAL = "(lower(t.email) = p.email or {same_phone})"
REST = "t.survivor_id is null and {only} and t.id is distinct from p.id and {more}"

AMONG = """
select p.n, e.n, coalesce(e.email = p.email, false), coalesce(p.phone in (e.phone, e.mobile), false),
    coalesce(p.mobile in (e.phone, e.mobile), false), coalesce(e.person = p.person and e.name % p.name, false)
from {wanted} p join {wanted} e on e.n < p.n and (
    e.email = p.email or p.phone in (e.phone, e.mobile) or p.mobile in (e.phone, e.mobile)
    or (e.person = p.person and e.name % p.name))
order by p.n, e.n
"""


async def find(
    conn: AsyncConnection,
    searches: Sequence[tuple[Target, Sequence[Wanted]]],
    *,
    limit: int,
    more: str = "true",
    parameters: Parameters | None = None,
    candidates: int | None = None,
) -> list[Match]:
    """For everybody looked for, at most ``limit`` records of each target, the likeliest first: one statement.

    ``more`` narrows what is found, as SQL over ``t`` (found) and ``p`` (looked for), with ``parameters``. With
    ``candidates``, no more than so many are compared of those who are alike by address or number, and of those by name:
    whether there is one is then certain, which name is the likeliest is not.
    """
    values = parameters or Parameters()
    most = "" if candidates is None else f"limit {candidates}"
    parts = [
        f"({_search(target, _wanted(wanted, values), limit, more, most)})" for target, wanted in searches if wanted
    ]
    if not parts:
        return []
    found = [_match(row) for row in await fetch(conn, " union all ".join(parts), values.values)]
    return sorted(found, key=_strength)


async def find_among(conn: AsyncConnection, wanted: Sequence[Wanted]) -> list[tuple[int, int, tuple[Field, ...]]]:
    """Who of these is likely the same as an earlier one: (number, the earlier one's number, fields that match)."""
    values = Parameters()
    rows = await fetch(conn, AMONG.format(wanted=_wanted(wanted, values)), values.values)
    return [(row[0], row[1], _fields(row[2:])) for row in rows]


def _search(target: Target, wanted: str, limit: int, more: str, most: str) -> str:
    numbers = "array[p.phone, p.mobile]"
    columns = [column for column in ("t.phone", target.mobile) if column.startswith("t.")]
    similar = target.similar.format(name=target.name)
    candidates = CANDIDATES.format(
        table=target.table,
        equal=EQUAL.format(same_phone=" or ".join(f"{column} = any({numbers})" for column in columns)),
        similar=similar,
        rest=REST.format(only=target.only, more=more),
        most=most,
    )
    return SEARCH.format(
        wanted=wanted,
        table=target.table,
        name=target.name,
        company=target.company,
        mobile=target.mobile,
        similar=similar,
        candidates=candidates,
        limit=limit,
    )


def _wanted(wanted: Sequence[Wanted], values: Parameters) -> str:
    rows = [
        (number, one.id, one.email, one.phone, one.mobile_phone, one.name or None, one.kind == "person", one.created_at)
        for number, one in wanted
    ]
    if len(rows) == 1:
        named = zip(WANTED_COLUMNS.items(), rows[0], strict=True)
        return ONE_WANTED.format(**{name: values.add(value, type_) for (name, type_), value in named})
    columns = zip(WANTED_COLUMNS.items(), zip(*rows, strict=True), strict=True)
    return WANTED.format(**{name: values.add(list(column), f"{type_}[]") for (name, type_), column in columns})


def _match(row: Any) -> Match:
    values = dict(row)
    similarity = values.pop("by_name")
    told = [values.pop(name) for name in ("by_email", "by_phone", "by_mobile")]
    values["fields"] = _fields([*told, similarity is not None])
    return Match(**values, similarity=None if similarity is None else round(similarity, 2))


def _fields(told: Sequence[bool]) -> tuple[Field, ...]:
    return tuple(field for field, matches in zip(FIELDS, told, strict=True) if matches)


def _strength(match: Match) -> tuple[int, bool, bool, float]:
    return match.wanted, "email" not in match.fields, "phone" not in match.reasons, -(match.similarity or 0)
