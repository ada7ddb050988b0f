"""Which passwords are accepted, and that a password is the same from any keyboard."""

import asyncio
import sys
from typing import Any

import pytest

from crm_identity.auth.passwords import _HASHER, THREADS, is_password
from crm_identity.auth.strength import _LISTS, refuse_guessable
from crm_kit.errors import InvalidValue
from crm_kit.testing import Client

from .conftest import PASSWORD, Login, NewUser

USERS = "/api/v1/users"

EASY = [
    "password1234",
    "P@ssw0rd1234",
    " " * 12,
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "abcdefghijkl",
    "123456789012",
    "qwertyuiop123",
    "letmeinletmein",
    "administrator1",
    "ada.lovelace@example.org",
    "ADA.LOVELACE@example.org1",
    "adalovelace1815",
    "Liaison12345",
]


def body(password: str) -> dict[str, Any]:
    return {"email": "ada.lovelace@example.org", "name": "Ada Lovelace", "password": password}


@pytest.mark.parametrize("password", EASY)
async def test_an_easy_password_is_refused_wherever_one_is_set(client: Client, login: Login, password: str) -> None:
    me = await login.client()
    made = await client.post(USERS, {key: value for key, value in body(password).items() if key != "password"})
    answers = [
        await client.post(USERS, {**body(password), "email": "ada.lovelace@example.com"}),
        await client.post(f"{USERS}/{made.json['id']}/reset-password", {"password": password}),
    ]
    if "lovelace" not in password.lower():
        answers.append(await me.post("/api/v1/auth/password", {"current_password": PASSWORD, "new_password": password}))
    assert {(answer.status, answer.problem) for answer in answers} == {(422, "guessable-password")}
    assert [answer.json["errors"][0]["pointer"].rpartition("_")[2].strip("/") for answer in answers] == [
        "password"
    ] * len(answers)


async def test_the_lists_of_easy_passwords_are_forgotten_and_read_again() -> None:
    for _ in range(2):
        with pytest.raises(InvalidValue):
            await refuse_guessable("/password", "password1234", ())
        assert "zxcvbn.frequency_lists" in sys.modules
        _LISTS._forget()
        async with asyncio.timeout(120):
            while "zxcvbn.frequency_lists" in sys.modules:  # noqa: ASYNC110  # a thread forgets them
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("password", ["\x00" * 12, "four words \x07 and a bell", "four words \u0085 and a line"])
async def test_control_characters_are_refused(client: Client, password: str) -> None:
    answer = await client.post(USERS, body(password))
    assert (answer.status, answer.json["errors"][0]["code"]) == (422, "password-characters")


@pytest.mark.parametrize(
    "password",
    [PASSWORD, "Vier Wörter ohne Sinn", "кот ест синюю дверь", "x7$kQ9zLm2pV", "horse \U0001f40e battery lemon"],
)
async def test_a_good_password_is_taken_as_long_as_256_characters(client: Client, password: str) -> None:
    answer = await client.post(USERS, body(password))
    assert answer.status == 201
    long = "correct horse battery staple, and then some more words: " * 4
    assert (await client.post(f"{USERS}/{answer.json['id']}/reset-password", {"password": long})).status == 200
    assert (await client.post(f"{USERS}/{answer.json['id']}/reset-password", {"password": long * 2})).status == 422


async def test_the_same_characters_are_the_same_password(client: Client, login: Login, new_user: NewUser) -> None:
    user = await new_user(password="vier Wo\u0308rter \uff4fhne Sinn")
    theirs = Login(login.anybody, user["email"])
    assert (await theirs.grant("vier W\u00f6rter ohne Sinn")).status == 200


async def test_a_hash_of_an_earlier_release_still_opens() -> None:
    """Hashes of earlier releases used NFC, which keeps compatibility characters."""
    old = THREADS.submit(_HASHER.hash, "vier W\u00f6rter \uff4fhne Sinn".encode()).result()
    assert await is_password("vier Wo\u0308rter \uff4fhne Sinn", old)
    assert not await is_password("vier W\u00f6rter ohne Sinn", old)
