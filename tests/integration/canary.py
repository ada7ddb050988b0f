"""Unmistakable values, one for each personal field in the contracts."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any, get_args

from crm_contracts.catalogue import Entity, all_entities
from crm_contracts.types import Address, personal_fields

DERIVED = frozenset({"full_name"})
"""Read-only fields that are made from other fields with canaries."""


def is_reference(path: str) -> bool:
    """Whether the field is the name of a referenced record, whose canary belongs to that record."""
    return path.count(".") >= 1 and path.endswith(".name") and path != "parties.name"


def entities_with_people() -> set[str]:
    """Return entities with a personal field besides names of other records."""
    return {one.name for one in all_entities() if any(not is_reference(p) for p in personal_fields(one.record))}


@dataclass
class Canary:
    """Makes the values and remembers all of them."""

    tokens: set[str] = field(default_factory=set)

    def word(self) -> str:
        """Return a name or a part of a value: letters only, so that it is never taken for a number."""
        token = "kanarie" + "".join(chr(ord("a") + byte % 26) for byte in secrets.token_bytes(10))
        self.tokens.add(token)
        return token.capitalize()

    def phone(self) -> str:
        """Return a German mobile number."""
        number = f"+49151{secrets.randbelow(10**7):07d}{secrets.randbelow(10)}"
        self.tokens.add(number.removeprefix("+49"))
        return number

    def email(self) -> str:
        """Return an e-mail address with canaries on both sides of the @."""
        return f"{self.word().lower()}@{self.word().lower()}.example"

    def birth_date(self) -> str:
        """Return a date before the range of timestamps."""
        day = date(1903, 1, 1).replace(month=1 + secrets.randbelow(12), day=1 + secrets.randbelow(28)).isoformat()
        self.tokens.add(day)
        return day

    def address(self) -> dict[str, str]:
        """Return a postal address with canaries in every part except the country."""
        return {name: self.word() for name in Address.model_fields if name != "country"} | {"country": "AT"}

    def of(self, entity: Entity) -> dict[str, Any]:
        """Return a value for each personal field of the record's own.

        Enumerations are left out, because their values are not unique.
        """
        paths = personal_fields(entity.record) - DERIVED
        return {path: self._value(entity.record.model_fields[path]) for path in sorted(paths) if "." not in path}

    def _value(self, declared: Any) -> Any:
        kinds = set(_kinds(declared.annotation))
        text = f"{declared.annotation} {declared.metadata}".lower()
        for kind in kinds:
            if issubclass(kind, Enum):
                return next(iter(kind)).value
        if Address in kinds:
            return self.address()
        if date in kinds:
            return self.birth_date()
        if "email" in text:
            return self.email()
        if "phone" in text or "+[1-9]" in text:
            return self.phone()
        return self.word()

    def heard_in(self, text: str | bytes) -> list[str]:
        """Return the canaries that a text or some bytes contain, ignoring case."""
        haystack = text.lower() if isinstance(text, bytes) else text.lower().encode()
        return sorted(token for token in self.tokens if token.encode() in haystack)

    def sings_in(self, record: dict[str, Any], path: str) -> bool:
        """Whether a field of an answer contains a canary at any depth."""
        return bool(self.heard_in(json.dumps(list(_at(record, path.split("."))), ensure_ascii=False)))


def _kinds(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for argument in get_args(annotation):
        yield from _kinds(argument)


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _at(one, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])
