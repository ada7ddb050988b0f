"""Names for people of what the API calls by technical names."""

from collections.abc import Iterator
from typing import Final

from crm_language.catalogues import LABELS, Key, catalogue

STATES: Final = {"status": "status", "status_reason": "reason", "reason": "reason"}
"""The contexts of fields whose options are states, or reasons of one."""


class Labels:
    """Labels in one language. ``missing`` collects the names without one, for the test that there are none."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._known = catalogue(LABELS, language)
        self.used: set[Key] = set()
        self.missing: set[Key] = set()

    def entity(self, name: str) -> str:
        """Return the name of one record's kind: `Lead`."""
        return self._label(name, "entity")

    def entities(self, name: str) -> str:
        """Return the name of many: `Leads`."""
        return self._label(name, "entities")

    def field(self, entity: str, name: str) -> str:
        """Return the name of a field: `Estimated value`."""
        return self._label(name, f"field of {entity}", "field")

    def option(self, entity: str, field: str, value: str) -> str:
        """Return the name of a value of a field: `Word of mouth`."""
        if field == "fields":  # the options are fields that a merge may take over
            return self.field(entity, value)
        kind = STATES.get(field, "option")
        return self._label(value, f"{kind} of {entity}.{field}", f"{kind} of {field}", kind)

    def command(self, entity: str, name: str) -> str:
        """Return the name of a command: `Qualify`."""
        return self._label(name, f"command of {entity}", "command")

    def right(self, name: str) -> str:
        """Return the name of a right: `Exceed credit`."""
        return self._label(name, "right")

    def granted(self, name: str) -> str:
        """Return the name of what a role grants: a kind of record, or a right."""
        return self._label(name, "right", "entity")

    def _label(self, name: str, *contexts: str) -> str:
        for context in contexts:
            if (found := self._known.get((context, name))) is not None:
                self.used.add((context, name))
                return found
        self.missing.add((contexts[-1], name))
        return name.replace("_", " ").replace(".", " ").capitalize()

    def dead(self) -> Iterator[Key]:
        """Yield the keys of the catalogue that nothing has asked for."""
        return (key for key in self._known if key not in self.used)
