"""States and actions of one world become nan, inf or huge in the middle of a training, which ends finite."""

import math

import pytest

from tests.chaos import child, faults, state

pytestmark = pytest.mark.chaos(quick=2)

STATES = [("qpos", math.nan), ("qpos", math.inf), ("qpos", 1e15), ("qvel", math.nan), ("qvel", 1e12)]
TASKS = {
    "HumanoidAMP": "task=HumanoidAMP num_envs=4 motion=walk",
    "HumanoidHRLMaze": "task=HumanoidHRLMaze num_envs=4",
    "AntMaze": "task=AntMaze train=hiro num_envs=4 train.warmup_steps=20",
    "AntPush": "task=AntPush train=hiro num_envs=4 train.warmup_steps=20",
    "ShipSteering": "task=ShipSteering num_envs=4",
}


def stays_finite(arguments, fault, tmp_path):
    folder = tmp_path / "run"
    code, output = child.finished(tmp_path / "cwd", f"{arguments} max_iterations=4 run_dir={folder}", fault=fault)
    assert code == 0, output
    wrong = state.whole(folder) + state.spoilt(folder)
    assert not wrong, wrong
    return (folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize("task", ["HumanoidAMP", "HumanoidHRLMaze", "AntMaze", "AntPush"])
def test_a_spoilt_state_heals(task, tmp_path, draw, tally):
    field, value = draw.choice(STATES)
    stays_finite(TASKS[task], child.together((faults.spoil_state, field, value)), tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize("task", TASKS)
def test_a_non_finite_action_is_harmless(task, value, tmp_path, tally):
    stays_finite(TASKS[task], child.together((faults.spoil_actions, value)), tmp_path)
