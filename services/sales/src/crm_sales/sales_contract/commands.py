"""Commands on sales contracts. Only a draft can be changed or deleted."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, literal_column, select

from crm_contracts.access import Privilege
from crm_contracts.sales.sales_contract import (
    SalesContractActivated,
    SalesContractAssigned,
    SalesContractCreated,
    SalesContractDeleted,
    SalesContractEnded,
    SalesContractTerminated,
    SalesContractUpdated,
)
from crm_kit.errors import DomainError
from crm_kit.records.patching import Assignment, apply, assign, require_status
from crm_kit.records.references import check_references
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.calendar import day_at
from crm_sales.customer_link.references import set_customer
from crm_sales.document.customer import require_active_customer
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.sales_contract.domain import require_order
from crm_sales.sales_contract.model import SalesContract
from crm_sales.sales_contract.schemas import SalesContractCreate, SalesContractTermination, SalesContractUpdate


async def create_contract(uow: UnitOfWork, body: SalesContractCreate) -> SalesContract:
    """Create a draft. The caller owns it."""
    await uow.start(SalesContract)
    require_order(body.start_date, body.end_date)
    values = {name: value for name, value in body if name != "customer"}
    await check_references(uow, SalesContract, values)
    contract = SalesContract(number=await uow.number(SalesContract.numbered), **values)
    await set_customer(uow, contract, body.customer)
    await pin_amounts(uow, contract, SalesContract.money_fields)
    return uow.add(contract, SalesContractCreated)


async def update_contract(uow: UnitOfWork, contract_id: UUID, body: SalesContractUpdate) -> SalesContract:
    """Change fields of a draft. A patch that changes no value does nothing."""
    contract = await uow.get(SalesContract, contract_id, Privilege.WRITE)
    require_status(contract, "draft")
    values = body.onto(contract)
    await check_references(uow, SalesContract, values, contract)
    if "customer" in values:
        await set_customer(uow, contract, values.pop("customer"))
    apply(contract, values)
    require_order(contract.start_date, contract.end_date)
    await pin_amounts(uow, contract, SalesContract.money_fields)
    return uow.emit_if_changed(contract, SalesContractUpdated)


async def activate_contract(uow: UnitOfWork, contract_id: UUID) -> SalesContract:
    """Activate the contract."""
    contract = await uow.get(SalesContract, contract_id, Privilege.WRITE)
    contract.activate(today(uow), uow.now)
    await require_active_customer(uow, contract)
    return uow.emit(contract, SalesContractActivated)


async def end_contract(uow: UnitOfWork, contract_id: UUID) -> SalesContract:
    """End the contract. This is possible before its last day."""
    contract = await uow.get(SalesContract, contract_id, Privilege.WRITE)
    _end(uow, contract)
    return contract


def past_their_end(now: datetime) -> Select[UUID]:
    """Return active contracts after their last day in the organisation's time zone, oldest first."""
    # The condition is literal, so that the planner can use the partial index.
    active = SalesContract.status == literal_column("'active'")
    over = select(SalesContract.id).where(active, SalesContract.end_date < day_at(now))
    return over.order_by(SalesContract.end_date)


async def end_by_time(contract_id: UUID, uow: UnitOfWork) -> None:
    """End the contract after its last day."""
    _end(uow, await uow.load(SalesContract, contract_id))


async def terminate_contract(uow: UnitOfWork, contract_id: UUID, body: SalesContractTermination) -> SalesContract:
    """Terminate the contract."""
    contract = await uow.get(SalesContract, contract_id, Privilege.WRITE)
    contract.terminate(body.reason, uow.now)
    return uow.emit(contract, SalesContractTerminated, reason=body.reason, terminated_at=uow.now)


async def assign_contract(uow: UnitOfWork, contract_id: UUID, body: Assignment) -> SalesContract:
    """Assign the contract to another owner."""
    contract = await uow.get(SalesContract, contract_id, Privilege.ASSIGN)
    await assign(uow, contract, body, SalesContractAssigned)
    return contract


async def delete_contract(uow: UnitOfWork, contract_id: UUID) -> None:
    """Delete a draft."""
    contract = await uow.get(SalesContract, contract_id, Privilege.DELETE)
    if contract.status != "draft":
        raise DomainError("not-deletable", "Only a draft can be deleted.")
    uow.remove(contract, SalesContractDeleted)


def _end(uow: UnitOfWork, contract: SalesContract) -> None:
    contract.end(uow.now)
    uow.emit(contract, SalesContractEnded, ended_at=uow.now)
