"""One unit of work: the records it changes, their audit, their events and the answer, in one statement."""
