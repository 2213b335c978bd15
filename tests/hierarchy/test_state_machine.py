"""The state machine of a table, stepped with conditions made by hand; and every message about a table."""

import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.hierarchy.state_machine import StateMachine

CONDITIONS = ("near", "fallen", "upright")
RISE = {"when": "fallen", "do": "rise", "until": "upright"}
GO = {"do": "goto", "target": [4, 0], "until": "near"}
CPU = torch.device("cpu")


def machine(entries, rules=(RISE,)):
    return StateMachine(entries, rules, CONDITIONS, 0.5, CPU)


def run(own, *steps, num_envs=1):
    """Entry, rule, name of the option and target of world 0 after each step, given what holds in it."""
    state, seen = own.start(num_envs), []
    for holds in steps:
        named = {name: torch.tensor([name in holds] * num_envs) for name in CONDITIONS}
        state = own.step(state, named)
        seen.append((state.entry[0].item(), state.rule[0].item(), own.options[own.option(state)[0]]))
    return seen


def test_entries_follow_each_other():
    own = machine([GO, {"do": "walk", "for_s": 1}, {"do": "goto", "target": [0, -1.5], "until": "near"}])
    assert own.options == ["goto", "walk", "rise"] and own.goal == 3
    state = own.start(1)
    assert own.options[own.option(state)] == "goto" and own.target_w(state).tolist() == [[4, 0]]
    # a second of 0.5 s a step takes two steps; `near` does not end the walk
    walked = run(own, "", {"near"}, {"near"}, {"near"}, "", {"near"}, {"near"})
    assert walked == [
        (0, 0, "goto"), (1, 0, "walk"), (1, 0, "walk"), (2, 0, "goto"), (2, 0, "goto"), (3, 0, "goto"), (3, 0, "goto"),
    ]  # fmt: skip


def test_a_rule_interrupts_and_the_time_of_the_entry_starts_anew():
    own = machine([{"do": "walk", "for_s": 1}, {"do": "stand"}])
    seen = run(own, "", {"fallen"}, "", {"upright"}, {"upright"}, {"upright"}, {"fallen"}, {"upright"})
    assert seen == [
        (0, 0, "walk"), (0, 1, "rise"), (0, 1, "rise"), (0, 0, "walk"), (0, 0, "walk"), (1, 0, "stand"),
        (1, 1, "rise"), (1, 0, "stand"),
    ]  # fmt: skip


def test_the_first_rule_that_applies_takes_over_and_no_other_interrupts_it():
    rules = [RISE, {"when": "near", "do": "stand", "for_s": 1}]
    own = machine([{"do": "walk", "for_s": 100}], rules)
    seen = run(own, {"near", "fallen"}, {"near", "upright"}, {"near"}, {"fallen"}, {"fallen"})
    assert [rule for _, rule, _ in seen] == [1, 0, 2, 2, 0]


def test_either_end_of_an_entry_counts():
    own = machine([GO | {"for_s": 1.5}, {"do": "stand"}], ())
    assert [entry for entry, *_ in run(own, "", "", "", "")] == [0, 0, 1, 1]
    assert [entry for entry, *_ in run(own, "", {"near"})] == [0, 1]
    assert own.goal == 1, "the last entry has no end, so the table is done when it is reached"


def test_worlds_are_independent_and_targets_are_kept():
    own = machine([GO, {"do": "walk", "for_s": 1}, {"do": "goto", "target": [0, 1], "until": "near"}])
    state = own.start(3)
    false = torch.zeros(3, dtype=torch.bool)
    near, fallen = torch.tensor([True, False, False]), torch.tensor([False, True, False])
    state = own.step(state, {"near": near, "fallen": fallen, "upright": false})
    assert [part.tolist() for part in state] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert own.target_w(state).tolist() == [[4, 0]] * 3  # of the entry before, and of the interrupted one


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], r"task.fsm=\[\]: expected one entry or more, type task.fsm=\[{do: walk, for_s: 3}\]"),
        ([{"do": "walk"}, GO], r"task.fsm\[0\] \(walk\) is a dead end: it has neither until nor for_s.*for_s: SECONDS"),
        ([{"do": "walk", "until": "neer"}], r"task.fsm\[0\]: there is no condition 'neer'; did you mean near\?"),
        ([{"do": "walk", "until": ["near"]}], r"task.fsm\[0\]: there is no condition "),
        ([{"for_s": 3}], r"task.fsm\[0\] has do: None; expected the name of an option, as in {do: walk, for_s: 3}"),
        ([{"do": "walk", "fors": 3}], r"task.fsm\[0\]: unknown key fors; did you mean for_s"),
        ([{"do": "walk", "for_s": 0}], r"task.fsm\[0\] has for_s: 0; expected seconds above 0"),
        ([{"do": "walk", "for_s": "3 s"}], r"task.fsm\[0\] has for_s: 3 s; expected seconds"),
        ([{"do": "walk", "for_s": float("nan")}], r"task.fsm\[0\] has for_s: nan; expected seconds"),
        ([GO | {"target": [4, 0, 1]}], r"task.fsm\[0\] has target: \[4, 0, 1\]; expected x and y in m, from -100 to"),
        ([GO | {"target": [4, 1000]}], r"task.fsm\[0\] has target: \[4, 1000\]; expected x and y in m, from -100 to"),
        ([GO | {"target": [4, float("nan")]}], r"task.fsm\[0\] has target: \[4, nan\]"),
        ([{"do": "walk", "until": "near"}], r"task.fsm\[0\] has no target; type {do: walk, target: \[4, 0\], until"),
    ],
)
def test_messages_about_a_table(entries, message):
    with pytest.raises(ConfigError, match=message):
        machine(entries)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"when": "fallen", "do": "rise"}, r"task.always\[0\] \(rise\) is a dead end"),
        ({"do": "rise", "for_s": 1}, r"task.always\[0\] has when: None; expected a condition"),
        ({"when": "fell", "do": "rise", "for_s": 1}, r"task.always\[0\]: there is no condition 'fell'; did you mean"),
        (RISE | {"target": [1, 1]}, r"task.always\[0\]: unknown key target"),
    ],
)
def test_messages_about_a_rule(rule, message):
    with pytest.raises(ConfigError, match=message):
        machine([{"do": "walk", "for_s": 1}], [rule])
