"""`crm backup` and `crm restore`: all data of a suite in one place, and a suite made from it."""
