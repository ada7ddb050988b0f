"""Whether any event waits for its turn is found without a look at those that operators have to decide about."""

from crm_kit.schema.ahead import NewIndex

INDEX = NewIndex("ix_inbox_waiting", "inbox", ("consumer",), "state = 'waiting'")
ahead = INDEX.make
upgrade = INDEX.within
