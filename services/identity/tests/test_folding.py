"""A log-in name is folded in the same way by throttle, lock-out, unique index and user look-up."""

import sys
from typing import Any

import pytest

from crm_contracts.types import login_email
from crm_identity.auth.throttle import account_key
from crm_kit.identifiers import ASCII_FOLD, fold
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client

from .conftest import Login, NewUser

CODE_POINTS = [chr(n) for n in range(sys.maxunicode + 1) if not 0xD800 <= n <= 0xDFFF]


def test_folding_twice_is_folding_once() -> None:
    assert [c for c in CODE_POINTS if fold(fold(f"a{c}b")) != fold(f"a{c}b")] == []


def test_every_case_and_width_of_a_name_is_one_bucket() -> None:
    name = fold("lili.strauss_k@example.org")
    for c in CODE_POINTS:
        variants = {f"l{variant}li" for variant in (c, c.lower(), c.upper(), c.casefold())}
        plain = {variant for variant in variants if fold(variant).isascii()}
        assert len({account_key(variant) for variant in plain}) == len({fold(variant) for variant in plain})
    others = (
        "LILI.STRAUSS_\u212a@EXAMPLE.ORG",
        "\uff4cili.strauss_k@example.org",
        " Lili.Strau\u017f\u017f_k@example.org\u00a0",
    )
    assert {fold(typed) for typed in others} == {name}


async def test_the_database_folds_what_it_holds_as_we_do(runtime: Runtime) -> None:
    """The database has ASCII only.

    It must not fold other characters to ASCII, as the lower case of some locales does.
    """
    held = [c for c in CODE_POINTS if c != "\x00"]
    theirs: list[str] = []
    sql = f"select {ASCII_FOLD.format('c')} from unnest($1::text[]) with ordinality t (c, n) order by n"  # noqa: S608  # a constant
    async with runtime.db.autocommit() as conn:
        for start in range(0, len(held), 50_000):
            theirs += (await conn.exec_driver_sql(sql, (held[start : start + 50_000],))).scalars().all()
    assert [c for c, folded in zip(held, theirs, strict=True) if c.isascii() and c.strip() and folded != fold(c)] == []
    assert [c for c, folded in zip(held, theirs, strict=True) if not c.isascii() and folded.isascii()] == []


def test_an_address_has_ascii_letters_only() -> None:
    for c in CODE_POINTS:
        if not c.isascii():
            with pytest.raises(ValueError, match="Send an e-mail address"):
                login_email(f"l{c}li@example.org")


async def test_another_letter_is_no_way_round_the_lock(client: Client, login: Login, new_user: NewUser) -> None:
    user = await new_user(email="lili@example.org")
    answers = {typed: await Login(login.anybody, typed).grant() for typed in VARIANTS}
    assert {typed: answer.status for typed, answer in answers.items()} == VARIANTS
    for typed, status in VARIANTS.items():
        if status == 200:
            twin: dict[str, Any] = {"email": typed.strip(), "name": "Twin"}
            assert (await client.post("/api/v1/users", twin)).status in (409, 422)
    assert user["email"] == "lili@example.org"


VARIANTS = {
    "LILI@EXAMPLE.ORG": 200,
    " lili@example.org ": 200,
    "ｌili@example.org": 200,
    "l\u0130li@example.org": 400,
    "l\u0131li@example.org": 400,
    "li\u200bli@example.org": 400,
    "lili@example.org.": 400,
    "li\u0301li@example.org": 400,
}
"""A log-in name as entered, and whether it is this user's. Those that are count in the same bucket (see the tests
above)."""
