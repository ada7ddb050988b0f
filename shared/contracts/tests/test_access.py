"""Privilege digits and claims."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_contracts.access import (
    Claims,
    ClaimsError,
    Depth,
    DepthName,
    EntityPrivileges,
    Privilege,
    decode,
    depth_of,
    encode,
    union,
)

DIGITS = st.text("01234", min_size=5, max_size=5)
GRANTS = st.dictionaries(st.sampled_from(["lead", "task", "account"]), DIGITS)
PAYLOAD: dict[str, Any] = {
    "sub": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f",
    "kind": "user",
    "teams": ["01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e70"],
    "bu": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e71",
    "prv": {"lead": "44321"},
    "iat": 1_780_000_000.25,
    "exp": 1_780_000_600,
    "aud": "crm",
    "iss": "liaison",
    "jti": "j",
}


def test_the_digits_stand_for_create_read_write_delete_assign() -> None:
    assert decode("44321") == {
        Privilege.CREATE: Depth.ORGANIZATION,
        Privilege.READ: Depth.ORGANIZATION,
        Privilege.WRITE: Depth.DEEP,
        Privilege.DELETE: Depth.BUSINESS_UNIT,
        Privilege.ASSIGN: Depth.USER,
    }
    assert encode({Privilege.READ: Depth.DEEP}) == "03000"


@given(DIGITS)
def test_digits_read_back(digits: str) -> None:
    assert encode(decode(digits)) == digits


@pytest.mark.parametrize("digits", ["", "4444", "444444", "44325", "4432x", "-4432", "４4321"])
def test_anything_else_is_refused(digits: str) -> None:
    with pytest.raises(ClaimsError):
        decode(digits)


@given(st.lists(GRANTS, max_size=4))
def test_roles_add_up_to_the_greatest_depth(roles: list[dict[str, str]]) -> None:
    together = union(roles)
    for entity in ("lead", "task", "account"):
        for privilege in Privilege:
            greatest = max((depth_of(role, entity, privilege) for role in roles), default=Depth.NONE)
            assert depth_of(together, entity, privilege) is greatest


def test_what_is_not_granted_is_denied() -> None:
    assert depth_of({"lead": "44444"}, "account", Privilege.READ) is Depth.NONE
    assert union([]) == {}


def test_a_role_spells_its_depths_as_words() -> None:
    role = EntityPrivileges(create=DepthName.USER, read=DepthName.ORGANIZATION, write=DepthName.BUSINESS_UNIT)
    assert role.digits == "14200"
    assert {name.depth for name in DepthName} == set(Depth)


def test_claims_read_back() -> None:
    claims = Claims.of(PAYLOAD | {"scope": "ignored"})
    assert claims.payload() == PAYLOAD
    assert claims.sub == UUID(PAYLOAD["sub"])
    assert claims.depth("lead", Privilege.DELETE) is Depth.BUSINESS_UNIT


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("sub", "not-a-uuid"),
        ("sub", 5),
        ("kind", "admin"),
        ("teams", "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e70"),
        ("teams", [5]),
        ("bu", None),
        ("prv", {"lead": "99999"}),
        ("prv", {"lead": 44321}),
        ("prv", []),
        ("iat", "now"),
        ("exp", "soon"),
        ("exp", True),
        ("aud", ["crm", "other"]),
        ("iss", ""),
        ("jti", None),
    ],
)
def test_a_claim_of_another_form_is_refused_by_name(claim: str, value: Any) -> None:
    with pytest.raises(ClaimsError, match=f"^{claim} "):
        Claims.of(PAYLOAD | {claim: value})


@pytest.mark.parametrize("claim", list(PAYLOAD))
def test_every_claim_is_needed(claim: str) -> None:
    with pytest.raises(ClaimsError, match=f"^{claim} is missing"):
        Claims.of({name: value for name, value in PAYLOAD.items() if name != claim})
