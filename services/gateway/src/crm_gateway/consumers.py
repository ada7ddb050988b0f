"""What the gateway listens to: who is who, and whose tokens are void."""

from crm_kit.consumers import Consumers
from crm_kit.directory_feed import follow_identity

CONSUMERS = Consumers("gateway")
follow_identity(CONSUMERS, "gateway")
