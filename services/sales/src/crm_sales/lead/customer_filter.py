"""The filter ``customer.id`` on leads: the account or contact made of the lead, as on deals and cases."""

from datetime import date

from crm_contracts.filters import AllOf, AnyOf, FieldType, Filter, FilterField, Op, Term
from crm_kit.records.filtering import Virtual


def _rewrite(term: Term, _: date) -> Filter:
    either: list[Filter] = [Term(field=name, op=term.op, value=term.value) for name in ("account_id", "contact_id")]
    # NE, NIN and "is null" have to hold for both columns, every other condition for one of them.
    if term.op in (Op.NE, Op.NIN) or (term.op is Op.IS_NULL and term.value):
        return AllOf.model_construct(all=either)
    return AnyOf.model_construct(any=either)


CUSTOMER = Virtual(FilterField(FieldType.UUID), _rewrite)
