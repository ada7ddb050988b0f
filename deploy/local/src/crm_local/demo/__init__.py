"""`crm demo`: the running example, a bank that sells credit cards, played on a running suite through the gateway."""
