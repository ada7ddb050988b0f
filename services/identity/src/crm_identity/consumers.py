"""What identity listens to: itself, so that its API checks tokens and names like everybody's."""

from crm_kit.consumers import Consumers
from crm_kit.directory_feed import follow_identity

CONSUMERS = Consumers("identity")
follow_identity(CONSUMERS, "identity")
