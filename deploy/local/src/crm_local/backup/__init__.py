"""`crm backup` and `crm restore`: everything that a suite is, in one place, and a suite made of it elsewhere."""
