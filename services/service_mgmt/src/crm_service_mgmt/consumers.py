"""What service management listens to: who is who, who the customers are, who takes whose place, and what is sold."""

from crm_contracts.catalogue import happenings
from crm_contracts.sales import ACCOUNT, CONTACT, PRODUCT, AccountMerged, ContactMerged
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers
from crm_service_mgmt.merging import move_cases
from crm_service_mgmt.projections.customer_ref import CustomerRef, keep_customers
from crm_service_mgmt.projections.product_ref import ProductRef, keep_products

CONSUMERS = Consumers("service")
follow_identity(CONSUMERS, "service")
CONSUMERS.raw_projection(*happenings(ACCOUNT), *happenings(CONTACT), group="service.customers")(keep_customers)
# Nothing happens to a record after it was merged.
CONSUMERS.step(AccountMerged, ContactMerged, group="service.merges", any_order=True)(move_cases)
CONSUMERS.raw_projection(*happenings(PRODUCT), group="service.products")(keep_products)
CONSUMERS.keeps("service.customers", CustomerRef.__tablename__, ACCOUNT, CONTACT)
CONSUMERS.keeps("service.products", ProductRef.__tablename__, PRODUCT)
