"""The matching rules for duplicates in SQL: one statement compares a whole list with the stored records.

A record matches by an equal e-mail address, ignoring case; by an equal telephone number in either of the two phone
fields; or by a name with a trigram similarity (pg_trgm) of at least 0.6. Names are folded (``crm_kit.folding``), and those of
companies are compared without their legal forms, which weigh a little afterwards. A migration set the threshold for the database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.store.database import fetch
from crm_kit.store.parameters import Parameters
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.duplicates.likeness import OTHER_FORM, Likeness, Somebody, legal_forms, likeness_of
from crm_sales.lead.model import Lead

Field = Literal["email", "phone", "mobile_phone", "name"]
Reason = Literal["email", "phone", "name"]
FIELDS: tuple[Field, ...] = ("email", "phone", "mobile_phone", "name")

Wanted = tuple[int, Likeness]
"""A number and the likeness to look for. Matches refer to it by the number."""


@dataclass(frozen=True, slots=True)
class Target:
    """A table to search. ``key`` is the name as it is compared. ``similar`` is the condition on names; an index must serve it.
    ``only`` excludes rows."""

    table: str
    name: str
    key: str
    similar: str
    mobile: str
    company: str = "null::text"
    only: str = "true"


# Leads have no trigram index of their own. A lead's name is part of its search_text, so that index finds every row with
# a similar name, and more. The similarity of a part to the whole is at least that of the names (word_similarity in the
# manual of pg_trgm).
LEADS = Target(
    table="lead",
    name="case when t.last_name is null then t.company_name else concat_ws(' ', t.first_name, t.last_name) end",
    key="case when t.last_name is null then public.crm_company(t.company_name)"
    " else public.crm_folded(concat_ws(' ', t.first_name, t.last_name)) end",
    similar="p.name <% t.search_text and (t.last_name is not null) = p.person and {key} % p.name",
    mobile="t.mobile_phone",
    company="t.company_name",
    # Qualified leads are excluded: the records made from them are compared instead.
    only="t.status <> 'qualified'",
)
LEADS_OF_THE_KIND = Target(
    table=LEADS.table,
    name=LEADS.name,
    key=LEADS.key,
    similar=LEADS.similar,
    mobile=LEADS.mobile,
    company=LEADS.company,
    only=f"{LEADS.only} and (t.last_name is not null) = p.person",
)
CONTACTS = Target(
    table="contact",
    name="t.full_name",
    key="public.crm_folded(t.full_name)",
    similar="{key} % p.name",
    mobile="t.mobile_phone",
)
ACCOUNTS = Target(
    table="account", name="t.name", key="public.crm_company(t.name)", similar="{key} % p.name", mobile="null::text"
)

OF_THE_SAME_ENTITY: dict[type[Somebody], Target] = {Lead: LEADS, Contact: CONTACTS, Account: ACCOUNTS}


@dataclass(frozen=True, slots=True)
class Match:
    """A stored record that is likely the wanted one, and the fields that match."""

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
    """The fields of the wanted record that match."""
    similarity: float | None
    """Similarity of the names, 0 to 1; null if they are not similar."""

    @property
    def reasons(self) -> list[Reason]:
        """Return ``email``, ``phone`` and ``name`` as they apply.

        Both telephone numbers count as the one reason ``phone``.
        """
        return list(dict.fromkeys("phone" if field == "mobile_phone" else field for field in self.fields))


def targets_of(record: Somebody, likeness: Likeness) -> list[Target]:
    """Return where the record may already exist: among records of its kind, and among those it may become or was made
    from."""
    match record:
        case Contact():
            return [CONTACTS, LEADS_OF_THE_KIND]
        case Account():
            return [ACCOUNTS, LEADS_OF_THE_KIND]
    return [LEADS, CONTACTS if likeness.kind == "person" else ACCOUNTS]


def searches_for(records: Iterable[Somebody]) -> list[tuple[Target, list[Wanted]]]:
    """Return the searches for these records. Each record's number is its position."""
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
    select n, id, lower(email) as email, phone, mobile,
        case when person then public.crm_folded(name) else public.crm_company(name) end as name, person, at
    from unnest({n}, {id}, {email}, {phone}, {mobile}, {name}, {person}, {at})
        w (n, id, email, phone, mobile, name, person, at)
)"""

# A single record is not passed as arrays: the planner would inspect their length each time, which takes longer than the
# search itself. With an offset, its name is folded once and not for each row.
ONE_WANTED = """(
    select {n} as n, {id} as id, lower({email}) as email, {phone} as phone, {mobile} as mobile,
        case when {person} then public.crm_folded({name}) else public.crm_company({name}) end as name,
        {person} as person, {at} as at
    offset 0
)"""

# Each rule has its index. The planner combines them.
SEARCH = """
select p.n as wanted, t.* from {wanted} p cross join lateral (
    select '{table}' as type, t.id, t.number, {name} as name, {company} as company_name, t.email, t.phone,
        {mobile} as mobile_phone, t.created_at, t.owner_id,
        t.business_unit_id,
        coalesce(lower(t.email) = p.email, false) as by_email,
        coalesce(p.phone in (t.phone, {mobile}), false) as by_phone,
        coalesce(p.mobile in (t.phone, {mobile}), false) as by_mobile,
        case when {similar} then similarity({key}, p.name) end as by_name
    from {candidates} t
    order by by_email desc, by_phone desc, by_mobile desc, by_name desc nulls last, t.id limit {limit}
) t
"""

# Names are searched separately. Of a common name only ``most`` rows are compared, and they never displace a row with an
# equal address or number.
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
    """Find at most ``limit`` records of each target for each wanted record, likeliest first, in one statement.

    ``more`` adds an SQL condition over ``t`` (found) and ``p`` (wanted) with ``parameters``. ``candidates`` limits how
    many rows are compared by address or number, and how many by name. With it, whether there is a match remains exact,
    but the likeliest name may be missed.
    """
    values = parameters or Parameters()
    most = "" if candidates is None else f"limit {candidates}"
    parts = [
        f"({_search(target, _wanted(wanted, values), limit, more, most)})" for target, wanted in searches if wanted
    ]
    if not parts:
        return []
    found = [_match(row) for row in await fetch(conn, " union all ".join(parts), values.values)]
    companies = {number: one.name for _, some in searches for number, one in some if one.kind == "company" and one.name}
    return sorted((_weighed(match, companies.get(match.wanted)) for match in found), key=_strength)


async def find_among(conn: AsyncConnection, wanted: Sequence[Wanted]) -> list[tuple[int, int, tuple[Field, ...]]]:
    """Find wanted records that match an earlier one: (number, the earlier one's number, fields that match)."""
    values = Parameters()
    rows = await fetch(conn, AMONG.format(wanted=_wanted(wanted, values)), values.values)
    return [(row[0], row[1], _fields(row[2:])) for row in rows]


def _search(target: Target, wanted: str, limit: int, more: str, most: str) -> str:
    numbers = "array[p.phone, p.mobile]"
    columns = [column for column in ("t.phone", target.mobile) if column.startswith("t.")]
    similar = target.similar.format(key=target.key)
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
        key=target.key,
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


def _weighed(match: Match, company: str | None) -> Match:
    """Return a match with a somewhat smaller similarity if both are companies, of different legal forms."""
    if company is None or match.similarity is None or legal_forms(match.name) == legal_forms(company):
        return match
    return replace(match, similarity=round(match.similarity * OTHER_FORM, 2))


def _fields(told: Sequence[bool]) -> tuple[Field, ...]:
    return tuple(field for field, matches in zip(FIELDS, told, strict=True) if matches)


def _strength(match: Match) -> tuple[int, bool, bool, float]:
    return match.wanted, "email" not in match.fields, "phone" not in match.reasons, -(match.similarity or 0)
