"""Every problem type, and every code that an answer can have, has a message in each language."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from typing import get_args

import pytest
from pydantic_core import core_schema

from crm_contracts.problems import PROBLEMS
from crm_contracts.types import FORMS
from crm_kit.http.phrases import RULES
from crm_kit.http.routers import find_routers
from crm_language.catalogues import MESSAGES, catalogue
from crm_language.languages import ENGLISH, LANGUAGES
from crm_language.messages import CODE, DETAIL, TITLE, message_of
from tests.architecture.test_problems import SLUG, sources
from tests.conftest import PACKAGES

CODE_AT = {"FieldError": 1, "FilterError": 0, "PydanticCustomError": 0, "InvalidValue": 1, "_refused": 1}
"""The position of the code among the arguments of what makes errors of single values."""
OF_LIBRARIES = {"filter", "string-pattern-mismatch", "value-error"}
"""Codes that sources do not name as an argument: a discriminator, and rules of pydantic without a phrase of their own."""
OTHERS = [language for language in LANGUAGES if language != ENGLISH]


def codes() -> Iterator[str]:
    """Return the codes that sources name."""
    for tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                place = CODE_AT.get(ast.unparse(node.func).rpartition(".")[2])
                code = node.args[place] if place is not None and len(node.args) > place else None
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    found = code.value.replace("_", "-")
                    if SLUG.fullmatch(found):
                        yield found


@pytest.mark.parametrize("language", OTHERS)
def test_every_problem_has_a_title_and_a_detail(language: str) -> None:
    known = catalogue(MESSAGES, language)
    for context in (TITLE, DETAIL):
        assert {slug for where, slug in known if where == context} == set(PROBLEMS), context


@pytest.mark.parametrize("language", OTHERS)
def test_every_code_has_a_message(language: str) -> None:
    known, named = catalogue(MESSAGES, language), set(codes())
    assert len(named) > 50
    told = {code for where, code in known if where == CODE}
    assert named - told - set(PROBLEMS) == set()
    assert told - named - OF_LIBRARIES == set(), "nothing sends these codes any more"
    # Rules of pydantic that have neither a phrase nor a code of ours are told by the problem's type.
    for rule in get_args(core_schema.ErrorType):
        message = message_of(rule.replace("_", "-"), "Something in English", "validation", language)
        assert message != "Something in English", rule


@pytest.fixture(scope="module")
def forms() -> set[str]:
    """The sentences about the forms of texts, which are known once all services are imported."""
    for package in PACKAGES:
        import_module(f"{package}.main")
        find_routers(package)
    return set(FORMS.values())


@pytest.mark.parametrize("language", OTHERS)
def test_every_phrase_is_said_with_its_values(language: str, forms: set[str]) -> None:
    said = {text: translated for (where, text), translated in catalogue(MESSAGES, language).items() if not where}
    assert said.keys() == set(RULES.values()) | forms
    for text, translated in said.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", translated)), text
