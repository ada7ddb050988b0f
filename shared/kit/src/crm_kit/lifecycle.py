"""State machines as data. Commands, tests and ``GET /meta/state-machines`` use the same tables."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from crm_contracts.sentences import said
from crm_kit.errors import IllegalTransition, InvalidValue


class Lifecycle:
    """A transition table over ``status/status_reason``.

    ``moves`` maps an action to its sources and its target. A source is ``status/reason`` or ``status/*``. A target may list
    reasons (``lost/canceled|out_sold``). The command then takes ``reason``, and the first one is the default. A target may list
    states (``issued/issued, paid/complete``). The record then chooses one by the reason with which it moves. The target
    ``open/*`` keeps the state.

    ``initial`` is the first state of a record. ``by_time`` and ``by_others`` have moves in the same form that are not commands:
    they are caused by time, or by a command on another record. They have no route and are never among the actions.
    """

    def __init__(
        self,
        initial: str,
        moves: Mapping[str, tuple[set[str], str]],
        by_time: Mapping[str, tuple[set[str], str]] | None = None,
        by_others: Mapping[str, tuple[set[str], str]] | None = None,
    ) -> None:
        self.initial = initial
        self.moves = dict(moves)
        self.by_time = dict(by_time or {})
        self.by_others = dict(by_others or {})
        self._all = {**self.moves, **self.by_time, **self.by_others}
        targets = [f"{status}/{reason}" for _, target in self._all.values() for status, reason in self._targets(target)]
        named = [source for sources, _ in self._all.values() for source in sorted(sources) if not source.endswith("/*")]
        self.states = [s for s in dict.fromkeys([initial, *targets, *named]) if not s.endswith("/*")]

    @staticmethod
    def _targets(target: str) -> list[tuple[str, str]]:
        states = [state.partition("/") for state in target.split(", ")]
        return [(status, reason) for status, _, reasons in states for reason in reasons.split("|")]

    @cached_property
    def _actions(self) -> dict[str, list[str]]:
        return {state: [action for action in self.moves if self._starts(action, state)] for state in self.states}

    def follows(self, state: str) -> list[str]:
        """Return the moves from ``state`` that time or another record may cause."""
        return [action for action in (*self.by_time, *self.by_others) if self._starts(action, state)]

    def _reached(self, action: str, target: str) -> list[str]:
        """Return the states to which a move leads. A move that keeps the state leads to its sources."""
        found = [f"{status}/{reason}" for status, reason in self._targets(target)]
        return [s for s in self.states if self._starts(action, s)] if found[0].endswith("/*") else found

    def _starts(self, action: str, state: str) -> bool:
        sources = self._all[action][0]
        return state in sources or f"{state.partition('/')[0]}/*" in sources

    @cached_property
    def statuses(self) -> list[str]:
        """Every status, in the order of first mention."""
        return list(dict.fromkeys(state.partition("/")[0] for state in self.states))

    @cached_property
    def status_reasons(self) -> list[str]:
        """Every status reason, in the order of first mention."""
        return list(dict.fromkeys(state.partition("/")[2] for state in self.states))

    def actions(self, state: str) -> list[str]:
        """Return the actions that are possible in ``state``."""
        return self._actions[state]

    def reasons(self, action: str) -> list[str]:
        """Return the reasons that an action may take; the first is the default."""
        return [reason for _, reason in self._targets(self._all[action][1])]

    def after(self, action: str, state: str, reason: str | None = None) -> tuple[str, str]:
        """Return status and status reason after ``action`` in ``state``.

        Raises ``illegal-transition`` if the state does not allow the action, and ``unknown-reason`` if the action does not take
        the reason.
        """
        status, _, status_reason = state.partition("/")
        if action not in self._actions[state] and action not in self.follows(state):
            raise IllegalTransition(action, status, status_reason, self._actions[state])
        targets = self._targets(self._all[action][1])
        if targets[0][1] == "*":
            return status, status_reason
        if reason is None:
            return targets[0]
        for target in targets:
            if target[1] == reason:
                return target
        allowed = ", ".join(known for _, known in targets)
        raise InvalidValue("/reason", "unknown-reason", said("Send one of: {allowed}.", allowed=allowed))

    def describe(self) -> dict[str, Any]:
        """Return the table as data, for ``GET /meta/state-machines``."""
        return {
            "initial": self.initial,
            "states": self.states,
            "moves": self._described(self.moves),
            "by_time": self._described(self.by_time),
            "by_others": self._described(self.by_others),
        }

    def _described(self, moves: Mapping[str, tuple[set[str], str]]) -> dict[str, Any]:
        return {
            action: {
                "from": [state for state in self.states if self._starts(action, state)],
                "to": self._reached(action, target),
            }
            for action, (_, target) in moves.items()
        }


ACTIVE_INACTIVE = Lifecycle(
    "active/active",
    {
        "activate": ({"inactive/inactive"}, "active/active"),
        "deactivate": ({"active/active"}, "inactive/inactive"),
    },
)
