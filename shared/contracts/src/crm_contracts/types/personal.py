"""The personal fields of a model."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from .marks import PersonalMark


def personal_fields(model: type[BaseModel]) -> set[str]:
    """Return the dotted paths of a model's personal fields. Lists add nothing to the path (`parties.name`)."""
    return set(_personal(model, "", frozenset()))


def _personal(model: type[BaseModel], prefix: str, above: frozenset[type[BaseModel]]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        if any(isinstance(mark, PersonalMark) for mark in field.metadata) or _is_personal(field.annotation):
            yield path
            continue
        for inner in _models(field.annotation):
            if inner not in above:
                yield from _personal(inner, f"{path}.", above | {model})


def _is_personal(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated and any(isinstance(mark, PersonalMark) for mark in annotation.__metadata__):
        return True
    if get_origin(annotation) in (Union, UnionType, Annotated, list, tuple, dict):
        return any(_is_personal(argument) for argument in get_args(annotation))
    return False


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
