"""A table-driven state machine per world: which option acts until which condition holds, without training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from isaachrl.config import LARGEST
from isaachrl.errors import ConfigError, brief, nearest

FARTHEST_M = 100.0  # of a target from the origin, in x and y
NEAR = "near"  # the condition that needs a target
_KEYS = ("do", "target", "until", "for_s")
_RULE_KEYS = ("when", "do", "until", "for_s")
_EXAMPLE = "{do: walk, for_s: 3}"

Table = Sequence[Mapping[str, Any]]


class MachineState(NamedTuple):
    """State of N worlds, each part `(N,)` int64.

    Args:
        entry: index of the present entry of the table; their number when all are done.
        rule: 0, or 1 + index of the rule that interrupts it.
        steps: control steps in this entry or rule.
    """

    entry: Tensor
    rule: Tensor
    steps: Tensor


class StateMachine:
    """Goes through the entries of a table, one after the other; rules interrupt it.

    An entry `{do: OPTION, target: [x, y], until: CONDITION, for_s: SECONDS}` lasts until its condition holds or its
    time is over; one without `target` keeps the one before. A rule `{when: CONDITION, do: OPTION, until: CONDITION}`
    takes over when its condition holds (the first such one) and no rule is active. It gives back to the entry, whose
    time starts anew. After the last entry its option goes on.

    Args:
        entries, rules: as the user wrote them (`task.fsm`, `task.always`).
        conditions: valid names.
        step_s: seconds per control step.
        device: of the tensors.

    Attributes:
        options: names of the options, in order of appearance.
        goal: entry with which the table is done: their number, or the last one if it has no end.

    Raises:
        ConfigError: a table that is empty, has a key or condition that does not exist, a value of the wrong kind, an
            entry or rule that can never be left, or no target where one is needed.
    """

    def __init__(
        self, entries: Table, rules: Table, conditions: Sequence[str], step_s: float, device: torch.device
    ) -> None:
        self.conditions = list(conditions)
        if not entries:
            raise ConfigError(f"task.fsm=[]: expected one entry or more, type task.fsm=[{_EXAMPLE}]")
        for i, entry in enumerate(entries):
            self._check(f"task.fsm[{i}]", entry, _KEYS, is_last=i == len(entries) - 1)
        for i, rule in enumerate(rules):
            self._check(f"task.always[{i}]", rule, _RULE_KEYS, is_last=False)
        targets = _targets(entries)
        # states: the entries, then the end, in which the last entry's option goes on, then the rules
        states = [*entries, {"do": entries[-1]["do"]}, *rules]
        self.options = list(dict.fromkeys(str(state["do"]) for state in states))
        self._ends = len(entries)
        self.goal = self._ends if _has_end(entries[-1]) else self._ends - 1

        def column(name: str, of: Table) -> Tensor:
            never = len(self.conditions)
            index = [self.conditions.index(one[name]) if name in one else never for one in of]
            return torch.tensor(index, dtype=torch.long, device=device)

        self._until, self._when = column("until", states), column("when", rules)
        limits = [max(1.0, round(state["for_s"] / step_s)) if "for_s" in state else math.inf for state in states]
        self._limit = torch.tensor(limits, device=device)
        self._option = torch.tensor([self.options.index(state["do"]) for state in states], device=device)
        self._target_w = torch.tensor([*targets, targets[-1]], device=device)

    def start(self, num_envs: int) -> MachineState:
        """The state at the start of an episode."""
        return MachineState(*torch.zeros(3, num_envs, dtype=torch.long, device=self._option.device).unbind())

    def step(self, state: MachineState, conditions: Mapping[str, Tensor]) -> MachineState:
        """The state after a control step, at whose end these conditions `(N,)` bool hold."""
        entry, rule, steps = state
        columns = [conditions[name] for name in self.conditions]
        holds = torch.stack([*columns, torch.zeros_like(columns[0])], dim=1)  # the last one: never
        now, steps = self._now(state), steps + 1
        over = holds.gather(1, self._until[now].unsqueeze(1)).squeeze(1) | (steps >= self._limit[now])
        due = holds[:, self._when]
        # without rules, `due` has no columns, and neither `any` nor the sum finds one
        begins = (rule == 0) & due.any(1)
        first = 1 + (due.cumsum(1) == 0).sum(1)
        rule = torch.where(begins, first, rule.masked_fill(over, 0))
        entry = entry + ((state.rule == 0) & ~begins & over)
        return MachineState(entry, rule, steps.masked_fill(begins | over, 0))

    def option(self, state: MachineState) -> Tensor:
        """`(N,)` index of the option that acts."""
        return self._option[self._now(state)]

    def target_w(self, state: MachineState) -> Tensor:
        """`(N, 2)` position of the present target, m; the origin until the table names one."""
        return self._target_w[state.entry]

    def _now(self, state: MachineState) -> Tensor:
        """`(N,)` index of the present state: entry, end or rule."""
        return torch.where(state.rule > 0, self._ends + state.rule, state.entry)

    def _check(self, place: str, entry: Mapping[str, Any], keys: Sequence[str], is_last: bool) -> None:
        """Check one entry or rule; see the class."""
        for key in entry:
            if key not in keys:
                raise ConfigError(f"{place}: unknown key {key}{nearest(str(key), keys)}")
        for key in ("do", "when") if "when" in keys else ("do",):
            if not isinstance(entry.get(key), str):
                what = "the name of an option" if key == "do" else "a condition"
                raise ConfigError(f"{place} has {key}: {brief(entry.get(key))}; expected {what}, as in {_EXAMPLE}")
        for key in ("when", "until"):
            if key in entry and entry[key] not in self.conditions:
                name = brief(entry[key])
                raise ConfigError(f"{place}: there is no condition {name!r}{nearest(name, self.conditions)}")
        seconds = entry.get("for_s", 1.0)
        if type(seconds) not in (int, float) or not 0 < seconds <= LARGEST:
            raise ConfigError(f"{place} has for_s: {brief(seconds)}; expected seconds above 0, as in {_EXAMPLE}")
        if not is_last and not _has_end(entry):
            raise ConfigError(
                f"{place} ({entry['do']}) is a dead end: it has neither until nor for_s, so what follows is never"
                f" reached; type for_s: SECONDS or until: CONDITION ({', '.join(self.conditions)})"
            )


def _has_end(entry: Mapping[str, Any]) -> bool:
    return "until" in entry or "for_s" in entry


def _targets(entries: Table) -> list[list[float]]:
    """The target of each entry: its own, or that of the entry before."""
    targets: list[list[float]] = []
    known = False
    for i, entry in enumerate(entries):
        target = entry.get("target", targets[-1] if targets else [0.0, 0.0])
        known = known or "target" in entry
        if not isinstance(target, list | tuple) or len(target) != 2 or not all(map(_in_arena, target)):
            raise ConfigError(
                f"task.fsm[{i}] has target: {brief(target)}; expected x and y in m, from -{FARTHEST_M:g} to"
                f" {FARTHEST_M:g}, as in {{do: goto, target: [4, 0], until: near}}"
            )
        if not known and entry.get("until") == NEAR:
            option = entry["do"]
            raise ConfigError(f"task.fsm[{i}] has no target; type {{do: {option}, target: [4, 0], until: {NEAR}}}")
        targets.append([float(value) for value in target])
    return targets


def _in_arena(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= FARTHEST_M
