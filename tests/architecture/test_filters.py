"""Every operator that a field offers is compiled."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from crm_contracts.filter_values import FieldType, Op
from crm_contracts.filters import Term
from crm_kit.access.reach import Reach
from crm_kit.process.runtime import Service
from crm_kit.records.filtering import TERMS, Asking, filterable
from crm_kit.store.parameters import Parameters

VALUES: dict[FieldType, list[Any]] = {
    FieldType.TEXT: ["red"],
    FieldType.KEYWORD: ["red"],
    FieldType.UUID: [UUID(int=1)],
    FieldType.DATE: [date(2026, 5, 4)],
    FieldType.DATETIME: [date(2026, 5, 4), datetime(2026, 5, 4, 9, 30, tzinfo=UTC)],
    FieldType.DECIMAL: [Decimal("1.5")],
    FieldType.INTEGER: [1],
    FieldType.BOOLEAN: [True],
}
"""Values of each type. A day is a value of a time, too."""


def value_for(op: Op, value: Any) -> Any:
    if op is Op.IS_NULL:
        return True
    return (value, value) if op in (Op.IN, Op.NIN, Op.BETWEEN) else value


def no_reach(entity: str) -> Reach:
    raise LookupError(f"A field of {entity} asks for a reach.")


def test_the_table_of_operators_is_complete() -> None:
    assert TERMS.keys() == set(Op)


def test_every_operator_that_a_field_offers_is_compiled(service: Service) -> None:
    asking = Asking(date(2026, 5, 4), UTC, no_reach, UUID(int=2))
    for entity in service.entities:
        known = filterable(entity)
        for name, field in known.fields.items():
            for op in field.ops:
                for value in VALUES[field.type]:
                    parameters = Parameters()
                    term = Term(field=name, op=op, value=value_for(op, value))
                    condition = known.compile(term, parameters, asking)
                    column = "owner_id" if name == "owner_name" else known.columns[name][0]
                    assert f"t.{column} " in condition or f"t.{column}," in condition or f"t.{column})" in condition
                    assert all(f"${place}::" in condition for place in range(1, len(parameters.values) + 1))
