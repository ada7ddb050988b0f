"""A merge patch (RFC 7396) as the body of a request.

A patch knows which members were sent. A member that was not sent has no value, not even a default, so the two cannot be confused.
Null is allowed if the type of the member allows it. A nested object is a patch, too: each of its members may be left out. A list
is replaced as a whole, and so is an amount of money.
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
    """Base of all patches. Sent members are validated by their types. Reading a member that was not sent raises
    AttributeError."""

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
        """Return the value that was sent for a member; None if it is null or was not sent."""
        return self.__dict__.get(name)

    def onto(self, record: Record) -> dict[str, Any]:
        """Return the sent members, with nested objects merged into those of the record.

        A nested object is JSON if the record has a column for it. Otherwise it has the shape of a create. Raises 422 if a merged
        object lacks a required member.
        """
        return {name: _merged(value, record, name) for name, value in self}


def optional(description: str) -> Any:
    """Return the field of a member that a create requires. A patch may leave it out, but its type does not allow null."""
    return Field(default_factory=_not_sent, description=description)


def plain(value: Any) -> Any:
    """Return a nested model, or a list of them, as the JSON of its column."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


class _Part(Patch):
    """A nested object of a patch."""

    whole: ClassVar[type[BaseModel]]
    """The complete shape of the object."""

    @model_validator(mode="before")
    @classmethod
    def _take_what_was_set(cls, value: Any) -> Any:
        return (
            {name: getattr(value, name) for name in value.model_fields_set} if isinstance(value, cls.whole) else value
        )

    def onto_stored(self, stored: Mapping[str, Any] | None, pointer: str) -> dict[str, Any]:
        """Return the complete object as its JSON column holds it: the stored object with the sent members.

        The sent members have been validated with the patch. Stored members stay unchanged, because a newer release may have
        stored members or values that this release does not know. Raises InvalidValue if a required member is neither sent nor
        stored.
        """
        merged = dict(stored or {})
        # Serialises the whole patch at once, because the JSON of a value may depend on its member, such as a percentage.
        written = self.model_dump(mode="json", exclude_unset=True)
        for name, value in self:
            merged[name] = (
                value.onto_stored(merged.get(name), f"{pointer}/{name}") if isinstance(value, _Part) else written[name]
            )
        for name, field in self.whole.model_fields.items():
            if name not in merged and field.is_required():
                raise _refused(f"{pointer}/{name}", "missing", "")
            if name not in merged and not field.exclude:
                merged[name] = plain(field.get_default(call_default_factory=True))
        return merged

    def whole_with(self, stored: Mapping[str, Any] | None, pointer: str) -> BaseModel:
        """Return the complete object in the shape of a create. Use it if several columns of the record hold the object.

        Raises InvalidValue if the complete object is not valid.
        """
        try:
            return self.whole.model_validate({**(stored or {}), **{name: plain(value) for name, value in self}})
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"/{part}" for part in first["loc"])
            raise _refused(f"{pointer}{place}", first["type"], first["msg"]) from None


def _refused(pointer: str, kind: str, message: str) -> InvalidValue:
    # In other languages the code has a sentence.
    told = "Send this field: it is required." if kind == "missing" else message + "."
    return InvalidValue(pointer, kind.replace("_", "-"), told)


def _not_sent() -> None:
    """The default of members that were not sent. The patch removes these members."""


def _merged(value: Any, record: Record, name: str) -> Any:
    if name in stored_columns(type(record)):
        return value.onto_stored(getattr(record, name), f"/{name}") if isinstance(value, _Part) else plain(value)
    return value.whole_with(_reference(record, name), f"/{name}") if isinstance(value, _Part) else value


def _reference(record: Record, name: str) -> Mapping[str, Any] | None:
    """Return the stored reference to one of several kinds of record, which two columns hold."""
    target = getattr(record, f"{name}_id")
    return None if target is None else {"type": getattr(record, f"{name}_type"), "id": target}


def _in_part(annotation: Any) -> Any:
    """Return the type of a member with nested objects replaced by their patches."""
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
