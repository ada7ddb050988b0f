"""Adds an index of waiting events, so that a search for them does not read parked events."""

from crm_kit.schema.ahead import NewIndex

INDEX = NewIndex("ix_inbox_waiting", "inbox", ("consumer",), "state = 'waiting'")
ahead = INDEX.make
upgrade = INDEX.within
