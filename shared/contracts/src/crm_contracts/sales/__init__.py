"""Sales: leads, opportunities, accounts, contacts and what they refer to."""
