"""The events that identity consumes: its own, so that its API checks tokens and names like the other services, and the answers of
services to removals."""

from crm_identity.removal.ending import ANSWERS, hear_answer
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers

CONSUMERS = Consumers("identity")
follow_identity(CONSUMERS, "identity")
CONSUMERS.step(*ANSWERS, group="identity.removals")(hear_answer)
