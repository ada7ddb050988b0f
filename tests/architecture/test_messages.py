"""Every problem type, and every code that an answer can have, has a message in each language."""

import ast
from collections.abc import Iterator
from string import Formatter
from typing import get_args

import pytest
from pydantic_core import core_schema

from crm_contracts.problems import PROBLEMS
from crm_kit.http.phrases import FORM_ERRORS, RULES
from crm_language.catalogues import MESSAGES, catalogue
from crm_language.languages import ENGLISH, LANGUAGES
from crm_language.messages import CODE, DETAIL, TITLE, message_of
from tests.architecture.test_problems import SLUG, sources

CODE_AT = {"FieldError": 1, "FilterError": 0, "PydanticCustomError": 0, "InvalidValue": 1, "_refused": 1}
"""The position of the code among the arguments of what makes errors of single values."""
OF_LIBRARIES = {"filter", "string-pattern-mismatch", "value-error"}
"""Codes that sources do not name as an argument: a discriminator, and rules of pydantic without a phrase of their own."""
PHRASE_AT = {"said": 0, "form": 1}
"""The position of the template or sentence among the arguments."""
SENTENCE_AT = {
    "DomainError": 1,
    "InvalidValue": 2,
    "FieldError": 2,
    "FilterError": 2,
    "InvalidToken": 1,
    "Unavailable": 0,
    "Overloaded": 1,
    "MoneyError": 0,
    "_refused": 2,
    "_too_many": 0,
    "bounded": 0,
    "quickly": 1,
}
"""The position of the detail or message among the arguments of what makes problems."""
NAMED = ("detail", "message", "why")
"""The names of details and messages as arguments."""
INIT = "super().__init__"
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


def called(node: ast.AST) -> str | None:
    """The last name of what a call calls; None for other nodes."""
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else None


def phrases(tree: ast.AST) -> Iterator[str]:
    """Return the templates of the sentences that a source says, and its sentences about the forms of texts."""
    for node in ast.walk(tree):
        place = PHRASE_AT.get(called(node) or "")
        if place is not None and isinstance(node, ast.Call) and len(node.args) > place:
            phrase = node.args[place]
            if isinstance(phrase, ast.Constant) and isinstance(phrase.value, str):
                yield phrase.value
            elif called(phrase) != "said":
                raise AssertionError(f"{ast.unparse(node)}: the sentence is no literal")


def problems_in(tree: ast.Module) -> set[str]:
    """Return the names of the classes of problems that a source declares."""
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & SENTENCE_AT.keys()
    }


def formatted(tree: ast.Module) -> Iterator[str]:
    """Return the f-strings in details and messages, also those that a variable of the same function has."""
    own = problems_in(tree)
    for function in ast.walk(tree):
        if isinstance(function, ast.ClassDef) and function.name in own:
            parents = [
                node for node in ast.walk(function) if isinstance(node, ast.Call) and ast.unparse(node.func) == INIT
            ]
            yield from (found for call in parents for arg in call.args[-2:] for found in f_strings(arg, function))
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            place = SENTENCE_AT.get(called(node) or "")
            if place is not None and isinstance(node, ast.Call):
                told = [*node.args[place : place + 1], *(one.value for one in node.keywords if one.arg in NAMED)]
                yield from (found for value in told for found in f_strings(value, function))


def f_strings(value: ast.expr, near: ast.AST) -> Iterator[str]:
    """Return the f-strings that a value may be."""
    match value:
        case ast.JoinedStr():
            yield ast.unparse(value)
        case ast.IfExp():
            yield from f_strings(value.body, near)
            yield from f_strings(value.orelse, near)
        case ast.BoolOp():
            for one in value.values:
                yield from f_strings(one, near)
        case ast.BinOp():
            yield from f_strings(value.left, near)
            yield from f_strings(value.right, near)
        case ast.Name():
            for line in ast.walk(near):
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == value.id:
                    yield from f_strings(line.value, near) if not isinstance(line.value, ast.Name) else ()


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_no_detail_or_message_is_an_f_string() -> None:
    assert sorted({found for tree in sources() for found in formatted(tree)}) == [], (
        "say them with crm_contracts.sentences.said"
    )


def test_a_planted_f_string_is_found() -> None:
    planted = """
class Slow(DomainError):
    def __init__(self, rate):
        super().__init__("too-many-requests", f"1 {rate}", members={"href": f"/{rate}"})
def refuse(more):
    raise DomainError("validation", f"2 {more}" if more else "None.")
def refuse_again(more):
    message = f"3 {more}"
    raise InvalidValue(f"/{more}", "validation", message)
def refuse_well(more):
    raise InvalidValue(f"/{more}", "validation", said("{more}", more=f"{more}"))
"""
    assert set(formatted(ast.parse(planted))) == {"f'1 {rate}'", "f'2 {more}'", "f'3 {more}'"}


@pytest.mark.parametrize("language", OTHERS)
def test_every_phrase_is_said_with_its_values(language: str) -> None:
    translated = {text: there for (where, text), there in catalogue(MESSAGES, language).items() if not where}
    said = {phrase for tree in sources() for phrase in phrases(tree)}
    assert len(said) > 150
    known = said | set(RULES.values()) | {phrase for _, phrase in FORM_ERRORS}
    assert sorted(known - translated.keys()) == [], "translate them"
    assert sorted(translated.keys() - known) == [], "nothing says these any more"
    for text, there in translated.items():
        assert fields(text) == fields(there), text
