"""Copies of the records of other services. Events keep them current, records refer to them, and requests wait for them."""
