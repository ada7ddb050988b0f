"""Schemas checked by the library that applies them. It is imported when it is needed, so that idle processes stay small."""

from functools import lru_cache
from typing import Any, Final

import orjson

from crm_activities.custom_type.domain import pointer_to, refused, require_shape

MOST_BYTES: Final = 32_768
"""Size of a schema as JSON."""
PATTERN_BYTES: Final = 262_144
"""Memory of one compiled pattern. The engine has no backtracking, so a pattern is matched in linear time."""


def require_schema(schema: dict[str, Any], pointer: str = "/values_schema") -> None:
    """Raise 422 ``invalid-schema`` with a pointer unless this is an accepted JSON Schema 2020-12 of an object."""
    from jsonschema_rs import ValidationError

    stored = orjson.dumps(schema)
    if len(stored) > MOST_BYTES:
        raise refused(pointer, f"Make the schema smaller: it may have {MOST_BYTES} bytes of JSON.")
    require_shape(schema, pointer)
    try:
        validator(stored)
    except ValidationError as error:
        place = pointer + pointer_to(*error.instance_path)
        raise refused(place, f"This is not JSON Schema 2020-12: {error.message:.200}") from error


@lru_cache(maxsize=64)
def validator(schema: bytes) -> Any:
    """Return the validator of a schema as JSON. It reads nothing from elsewhere, and its patterns do not backtrack."""
    from jsonschema_rs import Draft202012Validator, RegexOptions

    limits = RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=2 * PATTERN_BYTES)
    return Draft202012Validator(orjson.loads(schema), validate_formats=True, pattern_options=limits, offline=True)
