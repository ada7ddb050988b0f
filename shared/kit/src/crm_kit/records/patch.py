"""A merge patch (RFC 7396) as the body of a request.

A patch knows which members were sent. A member that was not sent has no value: neither its own nor a default, so nothing can take
one for the other. Null is allowed where the type of the member allows it. A nested object is a patch, too, whose members may be
left out one by one; a list is replaced as a whole, and so is an amount of money.
"""

from collections.abc import Mapping
from copy import copy
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic_core import PydanticUndefined

from crm_kit.errors import InvalidValue
from crm_kit.store.record import Record, stored_columns


class Patch(BaseModel):
    """Base of all patches. What a client sends of a member is validated as the type of that member says; reading one that was not
    sent raises AttributeError."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.__pydantic_fields__.items():
            member = copy(field)
            member.annotation = _in_part(field.annotation)
            member.default, member.default_factory, member.validate_default = PydanticUndefined, _not_sent, False
            cls.__pydantic_fields__[name] = member
        cls.model_rebuild(force=True)

    @model_validator(mode="after")
    def _keep_what_was_sent(self) -> Self:
        for name in type(self).model_fields.keys() - self.model_fields_set:
            del self.__dict__[name]
        return self

    def get(self, name: str) -> Any:
        """The value that was sent for a member; None where it is null or was not sent."""
        return self.__dict__.get(name)

    def onto(self, record: Record) -> dict[str, Any]:
        """What was sent, by member, with nested objects merged into what the record holds: as JSON where the record has a column
        for it, else as the shape that the member has in a create. 422 when a merged object lacks a required member."""
        return {name: _merged(value, record, name) for name, value in self}


def optional(description: str) -> Any:
    """A member that a create requires: a patch may leave it out, and its type says that it is not null."""
    return Field(default_factory=_not_sent, description=description)


def plain(value: Any) -> Any:
    """A nested shape as what its JSON column holds."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


class _Part(Patch):
    """A nested object of a patch."""

    whole: ClassVar[type[BaseModel]]
    """The shape that it is a part of."""

    @model_validator(mode="before")
    @classmethod
    def _take_what_was_set(cls, value: Any) -> Any:
        return (
            {name: getattr(value, name) for name in value.model_fields_set} if isinstance(value, cls.whole) else value
        )

    def merged(self, stored: Mapping[str, Any] | None, pointer: str) -> BaseModel:
        """The whole object: what was sent over what is stored."""
        before = stored or {}
        sent = {
            name: plain(value.merged(before.get(name), f"{pointer}/{name}"))
            if isinstance(value, _Part)
            else plain(value)
            for name, value in self
        }
        try:
            return self.whole.model_validate({**before, **sent})
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"/{part}" for part in first["loc"])
            message = "Send this field: it is required." if first["type"] == "missing" else f"{first['msg']}."
            raise InvalidValue(f"{pointer}{place}", first["type"].replace("_", "-"), message) from None


def _not_sent() -> None:
    """Never seen: what was not sent is taken out of the patch again."""


def _merged(value: Any, record: Record, name: str) -> Any:
    has_column = name in stored_columns(type(record))
    if isinstance(value, _Part):
        value = value.merged(_stored(record, name, has_column=has_column), f"/{name}")
    return plain(value) if has_column else value


def _stored(record: Record, name: str, *, has_column: bool) -> Mapping[str, Any] | None:
    if has_column:
        kept: Mapping[str, Any] | None = getattr(record, name)
        return kept
    target = getattr(record, f"{name}_id")
    return None if target is None else {"type": getattr(record, f"{name}_type"), "id": target}


def _in_part(annotation: Any) -> Any:
    """The type of a member in which an object may be sent in part."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation if issubclass(annotation, Patch) else _part_of(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return Union[tuple(_in_part(one) for one in get_args(annotation))]  # noqa: UP007  # the members are computed
    return annotation


@cache
def _part_of(whole: type[BaseModel]) -> type[_Part]:
    name, described = f"{whole.__name__}Patch", f"{whole.__doc__ or ''} Members that are absent stay.".strip()
    make: Any = create_model  # the type checker takes its name for a class otherwise
    part: type[_Part] = make(name, __base__=(_Part, whole), __module__=whole.__module__, __doc__=described)
    part.whole = whole
    return part
