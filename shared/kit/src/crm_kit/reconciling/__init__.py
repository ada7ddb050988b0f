"""Copies and their publishers side by side: compared, rebuilt, and carried over into a restored publisher's epoch.

For an operator, who reaches every service's database. No service does this to another.
"""
