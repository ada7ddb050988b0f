"""All tables of the service database, for migrations and tests."""

from crm_kit.tables import add_kit_tables
from crm_service_mgmt.case.model import Case
from crm_service_mgmt.db import Base
from crm_service_mgmt.handover import ServiceHandover
from crm_service_mgmt.merging import MoveTask
from crm_service_mgmt.projections.customer_ref import CustomerRef
from crm_service_mgmt.projections.product_ref import ProductRef

ENTITIES = (Case, ServiceHandover)
OTHERS = (CustomerRef, ProductRef, MoveTask)

METADATA = Base.metadata
add_kit_tables(METADATA, numbers=("CAS",))
