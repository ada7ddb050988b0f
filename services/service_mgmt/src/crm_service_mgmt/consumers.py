"""The events that service management consumes: those of identity, customers, merges and products."""

from crm_contracts.sales.account import ACCOUNT, AccountMerged
from crm_contracts.sales.contact import CONTACT, ContactMerged
from crm_contracts.sales.product import PRODUCT
from crm_kit.copies.declaring import keep_copy
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.copies.referable import reach_told
from crm_kit.copies.referring import record_told
from crm_kit.events.consumers import Consumers
from crm_kit.records.handing_over import REMOVALS
from crm_service_mgmt.handover import HANDOVER
from crm_service_mgmt.merging import move_cases
from crm_service_mgmt.projections.customer_ref import CustomerRef
from crm_service_mgmt.projections.product_ref import ProductRef

CONSUMERS = Consumers("service")
follow_identity(CONSUMERS, "service")
keep_copy(CONSUMERS, "service.customers", CustomerRef, ACCOUNT, CONTACT, facts=record_told)
# A merged record has no further events.
CONSUMERS.step(AccountMerged, ContactMerged, group="service.merges", any_order=True)(move_cases)
keep_copy(CONSUMERS, "service.products", ProductRef, PRODUCT, facts=reach_told)
CONSUMERS.step(*REMOVALS, group="service.handovers")(HANDOVER.hear)
