"""Python folds what is typed, SQL folds what is stored: both do the same to every character."""

import sys
import unicodedata
from datetime import UTC, date
from urllib.parse import quote
from uuid import uuid4

import pytest

from crm_contracts.filters import FieldType, FilterField, Op, Term
from crm_kit.access.reach import Reach
from crm_kit.folding import digits_of, folded, number_of, words_of
from crm_kit.process.runtime import Runtime
from crm_kit.records.filtering import Asking, Filterable
from crm_kit.store.parameters import Parameters
from crm_kit.testing import Client

from .conftest import a_tool, stored


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Müller", "muller"),
        ("Mu\u0308ller", "muller"),
        ("Nguyễn Đặng", "nguyen dang"),
        ("Łukasz Øre", "lukasz ore"),
        ("STRASSE Straße", "strasse strasse"),
        ("ﬁnﬂ Æon Œuvre", "finfl aeon oeuvre"),
        ("D’Angelo D´Angelo Dʼangelo", "d'angelo d'angelo d'angelo"),
        ("Ａｃｍｅ－１２", "acme-12"),
        ("さくら ｻｸﾗ ｶﾞ が", "サクラ サクラ ガ ガ"),
        ("İstanbul ISPARTA ısı", "istanbul isparta isi"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("Ёлка", "елка"),
        ("soft\u00adhy\u200bphen", "softhyphen"),
    ],
)
def test_folded_text_is_what_people_type(text: str, expected: str) -> None:
    assert folded(text) == expected


def test_a_telephone_number_has_the_digits_that_all_its_forms_share() -> None:
    forms = ["030 5550001", "(030) 555-0001", "+49 30 5550001", "+49 (0)30 5550001", "0049 30 555 00 01"]
    assert all("+49305550001".endswith(digits_of(form)) for form in forms)
    assert words_of("Müller 030 5550001") == [
        (("%muller%",),),
        (("%305550001%",), ("%030%", "%5550001%")),
    ]


def test_a_readable_number_is_found_without_its_zeros() -> None:
    assert [number_of(text) for text in ("lea-1", "LEA-00001", "lea 123456", "lea", "1")] == [
        "LEA-00001",
        "LEA-00001",
        "LEA-123456",
        None,
        None,
    ]


def test_a_search_has_at_most_eight_words_and_no_wildcards() -> None:
    assert len(words_of("word " * 20)) == 8
    assert words_of("100%") == [(("%100\\%%",),)]
    assert words_of("- ' .") == []


EVERY_CHARACTER = [
    chr(code) for code in range(1, sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")
]


async def test_python_and_sql_fold_every_character_alike(runtime: Runtime) -> None:
    async with runtime.db.autocommit() as conn:
        sql = "select array_agg(public.crm_folded(one) order by n) from unnest($1::text[]) with ordinality u (one, n)"
        stored_as = (await conn.exec_driver_sql(sql, (EVERY_CHARACTER,))).scalar_one()
    pairs = zip(EVERY_CHARACTER, stored_as, strict=True)
    assert {f"U+{ord(one):04X}": (folded(one), other) for one, other in pairs if folded(one) != other} == {}


@pytest.mark.parametrize(
    ("company", "name"),
    [
        ("ACME GmbH", "acme"),
        ("Acme GmbH & Co. KG", "acme"),
        ("株式会社東方", "東方"),
        ("(有)東方", "東方"),
        ("Nord S.A.", "nord"),
        ("AG", "ag"),
        ("Coca-Cola Inc.", "coca cola"),
    ],
)
async def test_companies_are_compared_without_their_legal_form(runtime: Runtime, company: str, name: str) -> None:
    async with runtime.db.autocommit() as conn:
        assert (await conn.exec_driver_sql("select public.crm_company($1)", (company,))).scalar_one() == name


async def test_text_is_found_as_people_type_it(runtime: Runtime, client: Client) -> None:
    names = [
        "Jürgen Müller",
        "D’Angelo",
        "Łukasz Nguyễn",
        "健太 田中",
        "王伟",
        "さくら商事 株式会社",
        "+49305550001",
        "김지우",
    ]
    await stored(runtime, *(a_tool(name=name) for name in names))
    found = {
        "muller jurgen": "Jürgen Müller",
        "D'Angelo": "D’Angelo",
        "NGUYEN": "Łukasz Nguyễn",
        "lukasz": "Łukasz Nguyễn",
        "lu": "Łukasz Nguyễn",
        "田中": "健太 田中",
        "太": "健太 田中",
        "田中 健太": "健太 田中",
        "王": "王伟",
        "伟": "王伟",
        "王伟": "王伟",
        "サクラ": "さくら商事 株式会社",
        "商事": "さくら商事 株式会社",
        "030 5550001": "+49305550001",
        "+49 (0)30 555-0001": "+49305550001",
        "55500": "+49305550001",
        "지우": "김지우",
    }
    for text, name in found.items():
        answer = await client.get(f"/api/v1/tools?q={quote(text)}")
        assert [item["name"] for item in answer.json["items"]] == [name], text
    equal = {"eq": "JURGEN MULLER", "contains": "gen mül", "starts_with": "jurg", "in": "JURGEN MULLER"}
    for op, text in equal.items():
        answer = await client.get(f"/api/v1/tools?name[{op}]={quote(text)}")
        assert [item["name"] for item in answer.json["items"]] == ["Jürgen Müller"], op
    several = quote("JURGEN MULLER,d'angelo")
    answer = await client.get(f"/api/v1/tools?name[in]={several}&sort=name")
    assert [item["name"] for item in answer.json["items"]] == ["D’Angelo", "Jürgen Müller"]
    answer = await client.get(f"/api/v1/tools?name[nin]={several}&count=exact")
    assert answer.json["count"] == len(names) - 2
    answer = await client.get(f"/api/v1/tools?name[ne]={quote('JURGEN MULLER')}&count=exact")
    assert answer.json["count"] == len(names) - 1


def test_several_texts_are_folded_once_and_not_for_each_row() -> None:
    fields = {"name": FilterField(FieldType.TEXT)}
    known = Filterable({"name": ("name", FieldType.TEXT)}, fields, {}, frozenset({"name"}))
    parameters, asking = Parameters(), Asking(date(2026, 5, 4), UTC, reach, uuid4())
    sql = known.compile(Term(field="name", op=Op.IN, value=["Müller", "ŁUKASZ"]), parameters, asking)
    assert sql.count("crm_folded") == 1
    assert ["muller", "lukasz"] in parameters.values


def reach(entity: str) -> Reach:
    raise AssertionError(entity)
