"""Rights beside the privileges on entities: each allows one act that a privilege on a whole entity would be too much for.

A role grants a right under its name, as the privilege write: `{"credit_override": {"write": "deep"}}`. The depth tells the owners
of the records for which it holds. The other four privileges mean nothing for a right.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Right:
    """The declaration of a right."""

    service: str
    """The service that asks for it."""
    name: str
    """The name in roles and tokens. No entity has it."""
    over: str
    """The entity whose records it is about. The depth is that of their owners."""


CREDIT_OVERRIDE: Final = Right("sales", "credit_override", over="account")
"""Submit orders of an account on credit hold, or over its credit limit, with `force`."""

RIGHTS: Final = (CREDIT_OVERRIDE,)
