"""What sales listens to: who is who."""

from crm_kit.consumers import Consumers
from crm_kit.directory_feed import follow_identity

CONSUMERS = Consumers("sales")
follow_identity(CONSUMERS, "sales")
