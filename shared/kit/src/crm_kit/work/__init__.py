"""The unit of work. It writes changed records, their audit rows, their events and the answer in one statement."""
