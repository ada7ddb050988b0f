"""Finds the unique values of a service that a client can send, from the models and the OpenAPI document."""

from collections.abc import Iterable, Mapping
from typing import Any

from crm_contracts.catalogue import entity_for
from crm_kit.store.record import Record
from crm_kit.work.violations import pointer_of, unique_keys


def met_by_clients(entities: Iterable[type[Record]], openapi: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the unique constraints whose columns are all in the body of a create: by name, the pointers of the columns."""
    found = {}
    for entity in entities:
        known = entity_for(entity.entity())
        create = openapi["paths"].get(f"/api/v1/{known.collection}", {}).get("post") if known else None
        content = create["requestBody"]["content"] if create is not None and "requestBody" in create else {}
        if "application/json" not in content:
            continue
        schema = content["application/json"]["schema"]
        fields = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
        for name, columns in unique_keys(entity).items():
            pointers = [pointer_of(entity, column) for column in columns]
            if all(pointer.split("/")[1] in fields for pointer in pointers):
                found[name] = pointers
    return found
