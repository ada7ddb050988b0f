"""`crm demo`: the running example, a bank that sells credit cards, played through the gateway of a running suite."""
