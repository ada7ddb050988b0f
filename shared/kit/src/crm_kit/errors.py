"""What can go wrong in the domain. Each error carries the slug of a problem type (``crm_contracts.problems``)."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from crm_contracts.catalogue import entity_named


@dataclass(frozen=True, slots=True)
class FieldError:
    """One offending place: a JSON pointer into the request body, a stable code and a sentence."""

    pointer: str
    code: str
    message: str


@dataclass
class DomainError(Exception):
    """A rule said no. ``slug`` names the problem type, ``members`` become extension members of the problem."""

    slug: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    members: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.slug}: {self.detail}"


class NotFound(DomainError):
    """The record does not exist, or is not visible to the caller: the two are not told apart."""

    def __init__(self, entity: str) -> None:
        super().__init__("not-found", f"There is no such {entity.replace('_', ' ')}.")


class Forbidden(DomainError):
    """The caller does not hold the privilege: on nothing at all, or (``everywhere``) not for the whole organisation."""

    def __init__(self, privilege: str, entity: str, *, everywhere: bool = False) -> None:
        which = " for the whole organisation" if everywhere else ""
        super().__init__(
            "forbidden",
            f"You need the privilege '{privilege}' on {entity}{which}, and none of your security roles has it. Ask an"
            " administrator for a role that has it.",
        )


class OutOfReach(Forbidden):
    """The record is visible, and the caller holds the privilege, but not as far as this record."""

    def __init__(self, privilege: str, entity: str) -> None:
        super().__init__(privilege, entity)
        self.detail = (
            f"Your privilege '{privilege}' on {entity} does not reach this record. Ask its owner to do it, or ask an"
            " administrator for a role that reaches further."
        )


class Stale(DomainError):
    """``If-Match`` names another version than the current one (RFC 9110 §13.1.1)."""

    def __init__(self, current: int) -> None:
        super().__init__(
            "stale",
            "The record has changed since you read it. Read it again and repeat your change.",
            members={"version": current},
        )


class UnsupportedCoding(DomainError):
    """The body is compressed, or otherwise coded, and no service decodes it."""

    def __init__(self) -> None:
        super().__init__("unsupported-media-type", "Send the body without Content-Encoding.")


class InvalidValue(DomainError):
    """A value breaks a rule that the schema alone cannot say: 422 with its pointer."""

    def __init__(self, pointer: str, slug: str, message: str) -> None:
        super().__init__(slug, message, (FieldError(pointer, slug, message),))


class UnknownReference(InvalidValue):
    """A reference points at a record that does not exist or that the caller may not read."""

    def __init__(self, pointer: str, entity: str) -> None:
        super().__init__(
            pointer,
            "unknown-reference",
            f"Send the id of an existing {entity.replace('_', ' ')} that you may read.",
        )


class InactiveReference(InvalidValue):
    """An inactive record takes no new reference."""

    def __init__(self, pointer: str, entity: str) -> None:
        super().__init__(
            pointer, "inactive-reference", f"Choose another {entity.replace('_', ' ')}: this one is inactive."
        )


class Merged(DomainError):
    """Another record took the place of this one: 410 that says which."""

    def __init__(self, entity: str, survivor_id: UUID) -> None:
        self.survivor_id = survivor_id
        survivor = {"type": entity, "id": survivor_id, "href": entity_named(entity).path_of(survivor_id)}
        message = f"The {entity.replace('_', ' ')} was merged into another. Use the survivor instead."
        super().__init__("merged", message, members={"survivor": survivor})


class MergedReference(InvalidValue):
    """A reference points at a record that was merged into another; ``survivor`` names that one to who may read it."""

    def __init__(self, pointer: str, entity: str, survivor: dict[str, Any] | None) -> None:
        super().__init__(
            pointer, "merged-reference", f"The {entity.replace('_', ' ')} was merged into another. Refer to that one."
        )
        self.members = {} if survivor is None else {"survivor": survivor}


class IllegalTransition(DomainError):
    """The state machine has no such move from here; ``allowed`` names the moves it has. ``why`` replaces the sentence
    where more than the state stands in the way."""

    def __init__(
        self, action: str, status: str, status_reason: str, allowed: list[str], why: str | None = None
    ) -> None:
        super().__init__(
            "illegal-transition",
            why or f"'{action}' is not possible while the record is {status}/{status_reason}.",
            members={"record_status": status, "status_reason": status_reason, "allowed": allowed},
        )
