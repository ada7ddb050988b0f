"""Names on the broker: exchanges, queues and routing keys."""

EVENTS = "crm.events"
REPLAY = "crm.replay"
"""The prefix of the exchanges with which services send to one queue."""
DIRECT = "crm.direct"
"""Forwards messages from those exchanges. A routing key is a queue's name and a type, and each queue is bound to the types
that it may receive."""
DEAD_LETTERS = "crm.dlx"
LOG = "crm.log"
DROPPED = "crm.dropped"
"""The exchange and the queue of what the broker drops from queues of other systems."""
COUNTER = "identity"
"""The service that counts it."""
SUBSCRIBER_QUEUE = "crm.control.subscriber-queue"
"""The type of a control message that announces a queue of another system. Its header ``queue`` names it."""


def replay_of(service: str) -> str:
    """Return the exchange with which a service sends to one queue. Only the service's broker user may publish to it."""
    return f"{REPLAY}.{service}"


def direct_key(queue: str, type_: str) -> str:
    """Return the routing key of a message of this type to one queue. With a pattern as the type, it is a binding key."""
    return f"{queue}.{type_}"


def inbox_of(service: str) -> str:
    """Return the queue that all handler groups of a service share."""
    return f"crm.{service}.inbox"


def access_of(service: str) -> str:
    """Return the queue of a service's access events, which do not wait for other events."""
    return f"crm.{service}.access"


SNAPSHOT_REQUEST = "crm.control.snapshot-request"
"""The type of a control message that requests a snapshot of the current records."""
