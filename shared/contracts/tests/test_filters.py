"""The filter grammar: the same tree from JSON and query strings, limits, and errors that say what is allowed."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from crm_contracts import filters
from crm_contracts.filters import (
    MAX_ALL_PATTERNS,
    MAX_ALL_VALUES,
    MAX_DEPTH,
    MAX_PATTERN,
    MAX_TERMS,
    MAX_VALUES,
    OPS,
    AllOf,
    AnyOf,
    FieldType,
    Filter,
    FilterError,
    FilterField,
    Not,
    Op,
    Term,
    as_json,
    count_terms,
    fields_of,
    parse_filter,
    parse_query_params,
)

A, B = UUID("01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"), UUID("01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e70")
FIELDS = {
    "status": FilterField(FieldType.KEYWORD, ("open", "qualified")),
    "last_name": FilterField(FieldType.TEXT),
    "owner_id": FilterField(FieldType.UUID),
    "birth_date": FilterField(FieldType.DATE),
    "created_at": FilterField(FieldType.DATETIME),
    "estimated_value.amount": FilterField(FieldType.DECIMAL),
    "age": FilterField(FieldType.INTEGER),
    "do_not_email": FilterField(FieldType.BOOLEAN),
    "product_ids": FilterField(FieldType.UUID, many=True),
}
OPEN = {"field": "status", "op": "eq", "value": "open"}

VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.KEYWORD: st.sampled_from(["open", "qualified"]),
    FieldType.TEXT: st.text(
        st.characters(exclude_characters="\x00,", exclude_categories=["Cs"]), min_size=1, max_size=MAX_PATTERN
    ),
    FieldType.UUID: st.uuids().map(str),
    FieldType.DATE: st.dates().map(str),
    FieldType.DATETIME: st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat()),
    FieldType.DECIMAL: st.decimals(-(10**9), 10**9, places=2).map(str),
    FieldType.INTEGER: st.integers(-(10**9), 10**9),
    FieldType.BOOLEAN: st.booleans(),
}


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(FIELDS)))
    op = draw(st.sampled_from(FIELDS[name].ops))
    single = VALUES[FIELDS[name].type]
    if op is Op.IS_NULL:
        value: Any = draw(st.booleans())
    elif op in (Op.IN, Op.NIN):
        value = draw(st.lists(single, min_size=1, max_size=5))
    elif op is Op.BETWEEN:
        low, high = draw(single), draw(single)
        read = parse_filter({"field": name, "op": "in", "value": [low, high]}, FIELDS).value  # type: ignore[union-attr]  # a term
        value = [low, high] if read[0] <= read[1] else [high, low]
    else:
        value = draw(single)
    return {"field": name, "op": op.value, "value": value}


TREES = st.recursive(
    terms(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=8,
)


def depth(document: Any) -> int:
    parts = document.get("all") or document.get("any") or ([document["not"]] if "not" in document else None)
    return 0 if parts is None else 1 + max(map(depth, parts))


@given(TREES)
def test_a_tree_written_and_read_again_is_the_same(document: dict[str, Any]) -> None:
    if depth(document) > MAX_DEPTH:
        with pytest.raises(FilterError, match="nest"):
            parse_filter(document, FIELDS)
        return
    tree = parse_filter(document, FIELDS)
    assert as_json(parse_filter(as_json(tree), FIELDS)) == as_json(tree)
    assert count_terms(tree) <= MAX_TERMS
    assert fields_of(tree) <= set(FIELDS)


@given(st.lists(terms(), min_size=1, max_size=4))
def test_a_query_string_gives_the_tree_of_its_json(documents: list[dict[str, Any]]) -> None:
    items = [(f"{term['field']}[{term['op']}]", _spelled(term["value"])) for term in documents]
    tree = parse_filter({"all": documents}, FIELDS)
    assert isinstance(tree, AllOf)
    parsed = parse_query_params(items, FIELDS)
    assert parsed == (tree if len(documents) > 1 else tree.all[0])


def _spelled(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_spelled, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["all", "any", "not", "field", "op", "value"]) | st.text(), inner, max_size=4
            )
        ),
    )
)
def test_any_other_document_is_refused_and_never_an_error_of_ours(document: Any) -> None:
    code = None
    try:
        parse_filter(document, FIELDS)
    except FilterError as error:
        code = error.code
    assert code in {
        "invalid-filter",
        "unknown-field",
        "unknown-operator",
        "invalid-value",
        "too-deep",
        "too-many-terms",
    }


def test_the_example_of_the_api_conventions() -> None:
    items = [
        ("status", "open"),
        ("estimated_value.amount[gte]", "1000"),
        ("owner_id[in]", f"{A},{B}"),
        ("q", "text"),
        ("sort", "-created_at"),
        ("limit", "50"),
    ]
    assert parse_query_params(items, FIELDS) == AllOf(
        all=[
            Term(field="status", op=Op.EQ, value="open"),
            Term(field="estimated_value.amount", op=Op.GTE, value=Decimal(1000)),
            Term(field="owner_id", op=Op.IN, value=(A, B)),
        ]
    )
    assert parse_query_params([("limit", "5")], FIELDS) is None


def test_values_become_those_of_their_field() -> None:
    for field, op, value, read in (
        ("birth_date", "between", ["2000-01-01", "2001-01-01"], (date(2000, 1, 1), date(2001, 1, 1))),
        ("created_at", "lt", "2026-05-04T11:30:00+02:00", datetime(2026, 5, 4, 9, 30, tzinfo=UTC)),
        ("estimated_value.amount", "eq", 0.1, Decimal("0.1")),
        ("estimated_value.amount", "eq", "12.50", Decimal("12.50")),
        ("do_not_email", "eq", True, True),
        ("age", "is_null", True, True),
    ):
        assert parse_filter({"field": field, "op": op, "value": value}, FIELDS) == Term(
            field=field, op=Op(op), value=read
        )


def test_a_plus_sign_lost_in_a_query_string_is_found_again() -> None:
    assert parse_query_params([("created_at[gte]", "2026-05-04T11:30:00 02:00")], FIELDS) == Term(
        field="created_at", op=Op.GTE, value=datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
    )


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = OPEN
    for _ in range(levels):
        document = {"not": document}
    return document


def test_five_levels_are_deep_enough() -> None:
    assert count_terms(parse_filter(nested(MAX_DEPTH), FIELDS)) == 1
    with pytest.raises(FilterError) as error:
        parse_filter(nested(MAX_DEPTH + 1), FIELDS)
    assert error.value.code == "too-deep"
    with pytest.raises(FilterError, match="nest"):
        parse_filter(nested(100_000), FIELDS)


def test_a_day_is_a_bound_of_a_time() -> None:
    first, last = date(2026, 5, 4), datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
    tree = parse_query_params([("created_at[between]", "2026-05-04,2026-05-04T09:30:00Z")], FIELDS)
    assert tree == Term(field="created_at", op=Op.BETWEEN, value=(first, last))
    assert as_json(tree)["value"] == ["2026-05-04", "2026-05-04T09:30:00Z"]
    with pytest.raises(FilterError, match="the lower one first"):
        parse_query_params([("created_at[between]", "2026-05-06,2026-05-04T09:30:00Z")], FIELDS)


def test_fifty_terms_are_enough() -> None:
    assert count_terms(parse_filter({"any": [{"all": [OPEN] * 25}] * 2}, FIELDS)) == MAX_TERMS
    with pytest.raises(FilterError) as error:
        parse_filter({"any": [{"all": [OPEN] * 25}, {"all": [OPEN] * 26}]}, FIELDS)
    assert error.value.code == "too-many-terms"
    with pytest.raises(FilterError, match="terms"):
        parse_query_params([("status", "open")] * (MAX_TERMS + 1), FIELDS)


@pytest.mark.parametrize(
    ("document", "code", "pointer", "said"),
    [
        ({"field": "salary", "value": 1}, "unknown-field", "/filter/field", "age, birth_date"),
        ({"all": [OPEN, {"field": "x", "value": 1}]}, "unknown-field", "/filter/all/1/field", "Choose one of"),
        ({"not": {"field": "age", "op": "contains", "value": 1}}, "unknown-operator", "/filter/not/op", "between"),
        (
            {"field": "product_ids", "value": str(A)},
            "unknown-operator",
            "/filter/op",
            "(list of uuid) does not take 'eq'",
        ),
        ({"field": "product_ids", "op": "contains", "value": [str(A)]}, "invalid-value", "/filter/value", "a UUID"),
        ({"field": "age", "op": "like", "value": 1}, "invalid-filter", "/filter/op", "'starts_with'"),
        ({"field": "status", "value": "lost"}, "invalid-value", "/filter/value", "open, qualified"),
        ({"field": "age", "value": "5"}, "invalid-value", "/filter/value", "a whole number"),
        ({"field": "age", "value": None}, "invalid-value", "/filter/value", "for age eq"),
        ({"field": "age", "op": "between", "value": [5]}, "invalid-value", "/filter/value", "two values"),
        ({"field": "age", "op": "between", "value": [35, 25]}, "invalid-value", "/filter/value", "lower one first"),
        ({"field": "age", "op": "in", "value": []}, "invalid-value", "/filter/value", "1 to 200"),
        ({"field": "age", "op": "in", "value": [1] * (MAX_VALUES + 1)}, "invalid-value", "/filter/value", "1 to 200"),
        ({"field": "age", "op": "is_null", "value": 1}, "invalid-value", "/filter/value", "true or false"),
        ({"field": "last_name", "value": "a\x00"}, "invalid-value", "/filter/value", "text"),
        ({"field": "last_name", "value": "\ud800"}, "invalid-value", "/filter/value", "text"),
        ({"field": "owner_id", "value": "5"}, "invalid-value", "/filter/value", "a UUID"),
        ({"field": "created_at", "value": "2026-05-04T09:30:00"}, "invalid-value", "/filter/value", "offset"),
        ({"field": "birth_date", "value": "2026-02-30"}, "invalid-value", "/filter/value", "YYYY-MM-DD"),
        ({"field": "estimated_value.amount", "value": "NaN"}, "invalid-value", "/filter/value", "decimal"),
        ({"field": "age"}, "invalid-filter", "/filter/value", "required"),
        ({"all": []}, "invalid-filter", "/filter/all", "at least 1"),
        ({"all": [OPEN], "any": [OPEN]}, "invalid-filter", "/filter/any", "not permitted"),
        ({}, "invalid-filter", "/filter", '"field"'),
        ([], "invalid-filter", "/filter", '"field"'),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_is_allowed(
    document: Any, code: str, pointer: str, said: str
) -> None:
    with pytest.raises(FilterError) as error:
        parse_filter(document, FIELDS, "/filter")
    assert (error.value.code, error.value.pointer) == (code, pointer)
    assert said in error.value.message


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (("salary", "1"), "unknown-field"),
        (("status[", "open"), "unknown-field"),
        (("status]; drop table", "open"), "unknown-field"),
        (("status[gt]", "open"), "unknown-operator"),
        (("age[between]", "25"), "invalid-value"),
        (("age", "1.5"), "invalid-value"),
        (("do_not_email", "yes"), "invalid-value"),
        (("last_name", ""), "invalid-value"),
    ],
)
def test_a_wrong_parameter_is_named(item: tuple[str, str], code: str) -> None:
    with pytest.raises(FilterError) as error:
        parse_query_params([item], FIELDS)
    assert (error.value.code, error.value.pointer) == (code, item[0])


def test_an_error_never_repeats_a_value() -> None:
    with pytest.raises(FilterError) as error:
        parse_filter({"field": "owner_id", "value": "ada@example.org"}, FIELDS)
    assert "ada" not in str(error.value)


def test_every_type_has_its_operators() -> None:
    assert set(OPS) == set(FieldType)
    assert all(Op.IS_NULL in ops and Op.EQ in ops for ops in OPS.values())


def test_a_request_model_may_hold_a_filter() -> None:
    class Query(BaseModel):
        filter: Filter | None = None

    query = Query.model_validate({"filter": {"any": [{"not": OPEN}]}})
    assert query.filter is not None
    tree = parse_filter(query.filter, FIELDS)
    assert tree == AnyOf(any=[Not(not_=Term(field="status", op=Op.EQ, value="open"))])
    assert set(Query.model_json_schema()["$defs"]) == {"AllOf", "AnyOf", "Not", "Op", "Term"}


@pytest.mark.parametrize("op", ["contains", "starts_with"])
def test_a_piece_of_a_text_is_short(op: str) -> None:
    name = "last_name"
    long = "ab" * (MAX_PATTERN // 2)
    assert parse_query_params([(f"{name}[{op}]", long)], FIELDS) == Term(field=name, op=Op(op), value=long)
    too_long = f"1 to {MAX_PATTERN} characters"
    with pytest.raises(FilterError, match=too_long) as error:
        parse_query_params([(f"{name}[{op}]", long + "a")], FIELDS)
    assert error.value.code == "too-long"
    with pytest.raises(FilterError, match=too_long):
        parse_filter({"field": name, "op": op, "value": "ab" * 1000}, FIELDS)
    assert parse_query_params([(name, long + "a")], FIELDS), "a whole value is found by its index"


def test_many_pieces_of_text_are_short_in_all() -> None:
    term = {"field": "last_name", "op": "contains", "value": "x" * 100}
    assert parse_filter({"any": [term] * (MAX_ALL_PATTERNS // 100)}, FIELDS)
    with pytest.raises(FilterError, match=f"{MAX_ALL_PATTERNS} characters") as error:
        parse_filter({"all": [{"not": term}, {"any": [term] * (MAX_ALL_PATTERNS // 100)}]}, FIELDS)
    assert error.value.code == "too-long"


def test_lists_of_values_are_short_in_all() -> None:
    term = {"field": "owner_id", "op": "in", "value": [str(A)] * MAX_VALUES}
    assert parse_filter({"any": [term] * (MAX_ALL_VALUES // MAX_VALUES)}, FIELDS)
    with pytest.raises(FilterError, match=f"{MAX_ALL_VALUES} values") as error:
        parse_filter({"any": [term] * (MAX_ALL_VALUES // MAX_VALUES + 1)}, FIELDS)
    assert error.value.code == "too-many-values"


@pytest.mark.parametrize(
    ("document", "code", "parts"),
    [
        ({"any": [OPEN] * 100_000}, "too-many-terms", 1),
        ({"any": [{"all": [{"any": [{"not": OPEN}] * 50}] * 50}] * 50}, "too-many-terms", 60),
        ({"any": [{}] * 100_000}, "too-many-terms", 1),
        ({**OPEN, **{f"k{n}": 1 for n in range(100_000)}}, "too-many-keys", 1),
        ({"field": "owner_id", "op": "in", "value": [str(A)] * 100_000}, "invalid-value", 1),
    ],
    ids=["wide", "wide and deep", "empty", "keys", "values"],
)
def test_a_huge_filter_is_refused_before_its_parts_are_looked_at(
    document: dict[str, Any], code: str, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    look = filters._parts

    def noted(node: Any) -> Any:
        seen.append(node)
        return look(node)

    monkeypatch.setattr(filters, "_parts", noted)
    with pytest.raises(FilterError) as error:
        parse_filter(document, FIELDS)
    assert error.value.code == code
    assert len(seen) <= parts
