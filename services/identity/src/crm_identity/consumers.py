"""The events that identity consumes: its own, so that its API checks tokens and names like the other services."""

from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers

CONSUMERS = Consumers("identity")
follow_identity(CONSUMERS, "identity")
