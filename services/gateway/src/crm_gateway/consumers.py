"""What the gateway listens to: who is who, and whose tokens are void."""

from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers

CONSUMERS = Consumers("gateway")
follow_identity(CONSUMERS, "gateway")
