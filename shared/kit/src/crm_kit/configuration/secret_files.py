"""Secrets from files: `<NAME>_FILE` names one whose content is the value of `<NAME>`, as Docker and Kubernetes mount them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SECRETS: Final = (
    "CRM_SECRET",
    "CRM_ADMIN_PASSWORD",
    "CRM_SERVICE_PASSWORDS",
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
    "AMQP_URL",
    "AMQP_MANAGEMENT_URL",
)
MOST_BYTES: Final = 64 * 1024


class BadSecret(ValueError):
    """A secret that cannot be read. The text names the setting and the file, never the secret."""


def secret(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The value of a setting, from the environment or from the file that `<name>_FILE` names; empty when neither is set.

    Raises BadSecret if both are set, or if the file cannot be read.
    """
    value, path = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if not path:
        return value
    if value:
        raise BadSecret(f"{name} and {name}_FILE are both set: keep one of them")
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadSecret(f"{name}_FILE: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BadSecret(f"{name}_FILE: {path} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(text) > MOST_BYTES:
        raise BadSecret(f"{name}_FILE: {path} {'is empty' if not text else 'is no secret: it is too long'}")
    return text


def blanked() -> dict[str, str]:
    """The environment for a child process that gets its secrets by value, without the parent's files."""
    return {f"{name}_FILE": "" for name in SECRETS}
