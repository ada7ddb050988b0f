"""Values of a statement that is written as text."""

from typing import Any


class Parameters:
    """Collects values and hands out their placeholders."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any, cast: str) -> str:
        """The placeholder of a value, with its type said, so that one text always has one plan."""
        self.values.append(value)
        return f"${len(self.values)}::{cast}"
