"""Errors of the domain. Each has the slug of a problem type (``crm_contracts.problems``)."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from crm_contracts.catalogue import entity_named
from crm_contracts.sentences import Named, entity_word, right_word, said, status_word


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid value: a JSON pointer into the request body, a stable code and a sentence."""

    pointer: str
    code: str
    message: str


@dataclass
class DomainError(Exception):
    """A rule was broken. ``slug`` names the problem type. ``members`` become extension members of the problem."""

    slug: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    members: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.slug}: {self.detail}"


class NotFound(DomainError):
    """The record does not exist, or the caller may not read it. The error does not show which."""

    def __init__(self, entity: str) -> None:
        super().__init__("not-found", said("There is no such {kind}.", kind=entity_word(entity)))


class Forbidden(DomainError):
    """The caller does not hold the privilege at all, or with ``everywhere`` not for the whole organisation."""

    def __init__(self, privilege: str, entity: str, *, everywhere: bool = False) -> None:
        if everywhere:
            detail = said(
                "You need the privilege '{privilege}' on {entity} for the whole organisation, and none of your security roles has"
                " it. Ask an administrator for a role that has it.",
                privilege=privilege,
                entity=right_word(entity),
            )
        else:
            detail = said(
                "You need the privilege '{privilege}' on {entity}, and none of your security roles has it. Ask an administrator"
                " for a role that has it.",
                privilege=privilege,
                entity=right_word(entity),
            )
        super().__init__("forbidden", detail)


class OutOfReach(Forbidden):
    """The caller may read the record and holds the privilege, but the privilege does not reach this record."""

    def __init__(self, privilege: str, entity: str) -> None:
        super().__init__(privilege, entity)
        self.detail = said(
            "Your privilege '{privilege}' on {entity} does not reach this record. Ask its owner to do it, "
            "or ask an administrator for a role that reaches further.",
            privilege=privilege,
            entity=right_word(entity),
        )


class Stale(DomainError):
    """``If-Match`` does not name the current version (RFC 9110 §13.1.1)."""

    def __init__(self, current: int) -> None:
        super().__init__(
            "stale",
            "The record has changed since you read it. Read it again and repeat your change.",
            members={"version": current},
        )


class UnsupportedCoding(DomainError):
    """The body has a content coding such as gzip, which no service decodes."""

    def __init__(self) -> None:
        super().__init__("unsupported-media-type", "Send the body without Content-Encoding.")


class InvalidValue(DomainError):
    """A value breaks a rule that the schema cannot express: 422 with its pointer."""

    def __init__(self, pointer: str, slug: str, message: str) -> None:
        super().__init__(slug, message, (FieldError(pointer, slug, message),))


class UnknownReference(InvalidValue):
    """A reference points at a record that does not exist or that the caller may not read."""

    def __init__(self, pointer: str, entity: str) -> None:
        super().__init__(
            pointer,
            "unknown-reference",
            said("Send the id of an existing {kind} that you may read.", kind=entity_word(entity)),
        )


class InactiveReference(InvalidValue):
    """A new reference points at an inactive record."""

    def __init__(self, pointer: str, entity: str) -> None:
        super().__init__(
            pointer,
            "inactive-reference",
            said("Choose another {kind}: this one is inactive.", kind=entity_word(entity)),
        )


class Merged(DomainError):
    """The record was merged into another: 410 with the survivor."""

    def __init__(self, entity: str, survivor_id: UUID) -> None:
        self.survivor_id = survivor_id
        survivor = {"type": entity, "id": survivor_id, "href": entity_named(entity).path_of(survivor_id)}
        message = said("The {kind} was merged into another. Use the survivor instead.", kind=entity_word(entity))
        super().__init__("merged", message, members={"survivor": survivor})


class MergedReference(InvalidValue):
    """A reference points at a record that was merged into another. ``survivor`` is None if the caller may not read it."""

    def __init__(self, pointer: str, entity: str, survivor: dict[str, Any] | None) -> None:
        super().__init__(
            pointer,
            "merged-reference",
            said("The {kind} was merged into another. Refer to that one.", kind=entity_word(entity)),
        )
        self.members = {} if survivor is None else {"survivor": survivor}


class IllegalTransition(DomainError):
    """The record's state does not allow the action. ``allowed`` names the actions that it allows. ``why`` replaces the text if
    the state is not the only reason."""

    def __init__(
        self, action: str, status: str, status_reason: str, allowed: list[str], why: str | None = None
    ) -> None:
        super().__init__(
            "illegal-transition",
            why
            or said(
                "'{action}' is not possible while the record is {status}/{status_reason}.",
                action=Named(action, "command", "record", action),
                status=status_word("record", status),
                status_reason=status_reason,
            ),
            members={"record_status": status, "status_reason": status_reason, "allowed": allowed},
        )
