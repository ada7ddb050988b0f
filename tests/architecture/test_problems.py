"""Every problem that is raised is declared with its status and meaning, and every declared problem is raised."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from crm_contracts.problems import PROBLEMS
from crm_kit.http.openapi import MEANINGS

CHECKOUT = Path(__file__).resolve().parents[2]
DECLARATIONS = CHECKOUT / "shared/contracts/src/crm_contracts/problems.py"
SLUG = re.compile("[a-z]+(-[a-z]+)*")
SLUG_AT = {"DomainError": 0, "InvalidToken": 0, "Refused": 0, "InvalidValue": 1}
"""The position of the slug among the arguments of the problems' constructors."""
IN_THE_GATEWAY_ONLY = {408, 431, 500, 502}
"""Statuses that no operation documents. 408 and 431 occur before any operation; proxies cause the others."""


def sources() -> Iterator[ast.Module]:
    for path in sorted(CHECKOUT.glob("*/*/src/**/*.py")):
        if path != DECLARATIONS:
            yield ast.parse(path.read_text(encoding="utf-8"))


def raised(tree: ast.Module) -> Iterator[str]:
    """Return the slugs that are passed to constructors of problems as literals."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            place = SLUG_AT.get(ast.unparse(node.func).rpartition(".")[2])
            if place is not None and len(node.args) > place:
                slug = node.args[place]
                choices = [slug.body, slug.orelse] if isinstance(slug, ast.IfExp) else [slug]
                texts = (part.value for part in choices if isinstance(part, ast.Constant))
                # Other errors with the same names start with a sentence.
                yield from (text for text in texts if isinstance(text, str) and SLUG.fullmatch(text))


def words(tree: ast.Module) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_every_problem_that_is_raised_is_declared() -> None:
    found = {slug for tree in sources() for slug in raised(tree)}
    assert len(found) > 100
    assert found - PROBLEMS.keys() == set()


def test_every_declared_problem_is_raised_somewhere() -> None:
    assert PROBLEMS.keys() - {text for tree in sources() for text in words(tree)} == set()


def test_a_problem_has_a_slug_a_status_of_errors_and_a_sentence() -> None:
    for slug, problem in PROBLEMS.items():
        assert SLUG.fullmatch(slug), slug
        assert problem.status >= 400
        assert problem.meaning.endswith("."), slug


def test_openapi_documents_the_status_of_every_problem_of_an_operation() -> None:
    assert {problem.status for problem in PROBLEMS.values()} - MEANINGS.keys() <= IN_THE_GATEWAY_ONLY
