"""Commands on cases."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import CustomerType
from crm_contracts.service.case import (
    CaseAssigned,
    CaseCanceled,
    CaseCreated,
    CaseDeleted,
    CaseEscalated,
    CaseHeld,
    CaseReactivated,
    CaseResearching,
    CaseResolution,
    CaseResolved,
    CaseResumed,
    CaseUpdated,
    CaseWaiting,
)
from crm_kit.errors import DomainError
from crm_kit.records.patching import Assignment, apply, assign, require_status
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.case.domain import require_billable
from crm_service_mgmt.case.model import Case
from crm_service_mgmt.case.schemas import CaseCreate, CaseCustomerInput, CaseResolve, CaseUpdate
from crm_service_mgmt.projections.customer_ref import refer_to_customer
from crm_service_mgmt.projections.product_ref import refer_to_product


async def create_case(uow: UnitOfWork, body: CaseCreate) -> Case:
    """Create a case. The caller owns it."""
    await uow.start(Case)
    values = dict(body)
    case = Case(number=await uow.number(Case.numbered), resolutions=[])
    await _set_customer(uow, case, values.pop("customer"))
    await _check_contact(uow, body.contact_id)
    await refer_to_product(uow, body.product_id)
    apply(case, values)
    return uow.add(case, CaseCreated)


async def update_case(uow: UnitOfWork, case_id: UUID, body: CaseUpdate) -> Case:
    """Change fields of an active case. A patch that changes no value does nothing."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    require_status(case, "active")
    values = body.onto(case)
    # An unchanged reference is not a new one: its record may be inactive by now, or no longer readable to the caller.
    if "customer" in values:
        customer = values.pop("customer")
        if (customer.type, customer.id) != (case.customer_type, case.customer_id):
            await _set_customer(uow, case, customer)
    if values.get("contact_id", case.contact_id) != case.contact_id:
        await _check_contact(uow, values["contact_id"])
    if values.get("product_id", case.product_id) != case.product_id:
        await refer_to_product(uow, values["product_id"])
    apply(case, values)
    return uow.emit_if_changed(case, CaseUpdated)


async def hold_case(uow: UnitOfWork, case_id: UUID) -> Case:
    """Put the case on hold."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    case.hold(uow.now)
    return uow.emit(case, CaseHeld)


async def wait_case(uow: UnitOfWork, case_id: UUID) -> Case:
    """Wait for details from the customer."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    case.wait(uow.now)
    return uow.emit(case, CaseWaiting)


async def research_case(uow: UnitOfWork, case_id: UUID) -> Case:
    """Mark the case as being researched."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    case.research(uow.now)
    return uow.emit(case, CaseResearching)


async def resume_case(uow: UnitOfWork, case_id: UUID) -> Case:
    """Resume the case."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    case.resume()
    return uow.emit(case, CaseResumed)


async def escalate_case(uow: UnitOfWork, case_id: UUID) -> Case:
    """Escalate the case."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    case.escalate(uow.now)
    return uow.emit(case, CaseEscalated, escalated_at=uow.now)


async def resolve_case(uow: UnitOfWork, case_id: UUID, body: CaseResolve) -> Case:
    """Resolve the case (Dataverse: CloseIncident)."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    case.require("resolve")
    require_billable(body.minutes, body.billable_minutes)
    facts = {**dict(body), "resolved_at": uow.now}
    case.resolve(CaseResolution(**facts, reversed_at=None, by=uow.principal.author))
    return uow.emit(case, CaseResolved, **facts)


async def cancel_case(uow: UnitOfWork, case_id: UUID) -> Case:
    """Cancel the case."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    case.cancel()
    return uow.emit(case, CaseCanceled)


async def reactivate_case(uow: UnitOfWork, case_id: UUID) -> Case:
    """Reactivate a resolved or canceled case. Its resolution is marked as reversed."""
    case = await uow.get(Case, case_id, Privilege.WRITE)
    undone = case.reactivate(uow.now)
    return uow.emit(case, CaseReactivated, reversed_resolution=undone)


async def assign_case(uow: UnitOfWork, case_id: UUID, body: Assignment) -> Case:
    """Assign the case to another owner."""
    case = await uow.get(Case, case_id, Privilege.ASSIGN)
    await assign(uow, case, body, CaseAssigned)
    return case


async def delete_case(uow: UnitOfWork, case_id: UUID) -> None:
    """Delete a case that is not resolved."""
    case = await uow.get(Case, case_id, Privilege.DELETE)
    if case.status == "resolved":
        raise DomainError("not-deletable", "A resolved case cannot be deleted, because reports count it.")
    uow.remove(case, CaseDeleted)


async def _set_customer(uow: UnitOfWork, case: Case, wanted: CaseCustomerInput) -> None:
    await refer_to_customer(uow, wanted.type, wanted.id, "/customer/id")
    case.customer_type, case.customer_id = CustomerType(wanted.type), wanted.id


async def _check_contact(uow: UnitOfWork, contact_id: UUID | None) -> None:
    if contact_id is not None:
        await refer_to_customer(uow, CustomerType.CONTACT, contact_id, "/contact_id")
