"""The events that the gateway consumes: those of identity, including access changes."""

from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers

CONSUMERS = Consumers("gateway")
follow_identity(CONSUMERS, "gateway")
