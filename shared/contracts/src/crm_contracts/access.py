"""Privileges, depths and the access claims of a token."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import Field

from .types import Shape

AUDIENCE: Final = "crm"
MAX_CLAIMS_BYTES: Final = 4096


class Privilege(StrEnum):
    """What may be done to a record. The order is the order of the digits in a `prv` claim."""

    CREATE = "create"
    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    ASSIGN = "assign"


class Depth(IntEnum):
    """The owners whose records a privilege reaches. Each depth includes the previous ones."""

    NONE = 0
    USER = 1
    BUSINESS_UNIT = 2
    DEEP = 3
    ORGANIZATION = 4


class DepthName(StrEnum):
    """The name of a depth in roles."""

    NONE = "none"
    USER = "user"
    BUSINESS_UNIT = "business_unit"
    DEEP = "deep"
    ORGANIZATION = "organization"

    @property
    def depth(self) -> Depth:
        """The number of the depth, as in tokens."""
        return Depth[self.name]


PRIVILEGES: Final = tuple(Privilege)
_POSITION: Final = {privilege: position for position, privilege in enumerate(PRIVILEGES)}
_DEPTHS: Final = {str(depth.value): depth for depth in Depth}
Grants = Mapping[str, str]
"""Entity name -> five depth digits in the order of `Privilege`: {"lead": "44321"}."""


class EntityPrivileges(Shape):
    """How far each privilege of a role reaches on one entity."""

    create: DepthName = Field(default=DepthName.NONE, description="Whose records may be created.")
    read: DepthName = Field(default=DepthName.NONE, description="Whose records may be read.")
    write: DepthName = Field(default=DepthName.NONE, description="Whose records may be changed and commanded.")
    delete: DepthName = Field(default=DepthName.NONE, description="Whose records may be deleted.")
    assign: DepthName = Field(default=DepthName.NONE, description="Whose records may be given to another owner.")

    @property
    def digits(self) -> str:
        """The five digits of a `prv` claim."""
        return encode(
            {
                Privilege.CREATE: self.create.depth,
                Privilege.READ: self.read.depth,
                Privilege.WRITE: self.write.depth,
                Privilege.DELETE: self.delete.depth,
                Privilege.ASSIGN: self.assign.depth,
            }
        )


class ClaimsError(ValueError):
    """The claims of a verified token are invalid. The message names the claim."""


def encode(depths: Mapping[Privilege, Depth]) -> str:
    """Return the depth digits in the order of `Privilege`. A missing privilege has depth none."""
    return "".join(str(int(depths.get(privilege, Depth.NONE))) for privilege in PRIVILEGES)


def decode(digits: str) -> dict[Privilege, Depth]:
    """Return the depth of each privilege. Raises ClaimsError unless `digits` has five digits from 0 to 4."""
    if not is_digits(digits):
        raise ClaimsError("prv is not five depth digits")
    return {privilege: _DEPTHS[digit] for privilege, digit in zip(PRIVILEGES, digits, strict=True)}


def is_digits(digits: object) -> bool:
    """Whether this is a valid value of a `prv` claim."""
    return isinstance(digits, str) and len(digits) == len(PRIVILEGES) and all(digit in _DEPTHS for digit in digits)


def depth_of(grants: Grants, entity: str, privilege: Privilege) -> Depth:
    """Return the depth of the privilege on the entity; none if nothing is granted."""
    digits = grants.get(entity)
    return Depth.NONE if digits is None else _DEPTHS[digits[_POSITION[privilege]]]


def union(roles: Iterable[Grants]) -> dict[str, str]:
    """Return the grants of all roles together: the greatest depth for each entity and privilege."""
    merged: dict[str, str] = {}
    for grants in roles:
        for entity, digits in grants.items():
            known = merged.get(entity)
            merged[entity] = digits if known is None else "".join(map(max, known, digits))
    return merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims of an access token whose signature was verified."""

    sub: UUID
    kind: Literal["user", "client"]
    teams: tuple[UUID, ...]
    bu: UUID
    prv: Mapping[str, str]
    iat: float
    """Seconds since 1970 with a fraction, because a revocation must distinguish tokens of the same second."""
    exp: int
    """Seconds since 1970."""
    aud: str
    iss: str
    jti: str
    seq: int | None = None
    """The number of changes of access when identity issued the token; None for tokens of earlier releases."""

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> "Claims":
        """Read a decoded payload of a token. Raises ClaimsError, which names the claim. The caller must check the expiry."""
        claim = ""
        try:
            values: dict[str, Any] = {}
            for claim, read in _READ.items():
                values[claim] = read(payload[claim])
            claim = "seq"
            values[claim] = None if payload.get(claim) is None else _whole(payload[claim])
        except KeyError:
            raise ClaimsError(f"{claim} is missing") from None
        except (TypeError, ValueError, AttributeError):
            raise ClaimsError(f"{claim} is not valid") from None
        return cls(**values)

    def payload(self) -> dict[str, Any]:
        """Return the claims as the JSON object that is signed."""
        return {
            "sub": str(self.sub),
            "kind": self.kind,
            "teams": [str(team) for team in self.teams],
            "bu": str(self.bu),
            "prv": dict(self.prv),
            "iat": self.iat,
            "exp": self.exp,
            "aud": self.aud,
            "iss": self.iss,
            "jti": self.jti,
            **({} if self.seq is None else {"seq": self.seq}),
        }

    def depth(self, entity: str, privilege: Privilege) -> Depth:
        """Return the depth of the privilege on the entity."""
        return depth_of(self.prv, entity, privilege)


def _kind(value: Any) -> str:
    if value not in ("user", "client"):
        raise ValueError
    return str(value)


def _teams(value: Any) -> tuple[UUID, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(UUID(team) for team in value)


def _prv(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(is_digits(digits) for digits in value.values()):
        raise ValueError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _instant(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


_READ: Final[dict[str, Any]] = {
    "sub": UUID,
    "kind": _kind,
    "teams": _teams,
    "bu": UUID,
    "prv": _prv,
    "iat": _instant,
    "exp": _whole,
    "aud": _text,
    "iss": _text,
    "jti": _text,
}
