"""What service management listens to: who is who, and who the customers are."""

from crm_contracts.catalogue import events_about
from crm_contracts.sales import ACCOUNT, CONTACT
from crm_kit.consumers import Consumers
from crm_kit.directory_feed import follow_identity
from crm_service_mgmt.projections.customer_ref import keep_customers

CONSUMERS = Consumers("service")
follow_identity(CONSUMERS, "service")
CONSUMERS.raw_projection(*events_about(ACCOUNT), *events_about(CONTACT), group="service.customers")(keep_customers)
