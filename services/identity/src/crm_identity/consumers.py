"""What identity listens to: itself, so that its API checks tokens and names like everybody's."""

from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers

CONSUMERS = Consumers("identity")
follow_identity(CONSUMERS, "identity")
