"""What users hand in from Python: whatever is wrong with it is said by an error of ours."""

from pathlib import Path

import numpy as np
import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import CheckpointError, ConfigError, IsaacHRLError
from isaachrl.hierarchy.skill import Skill

assert tasks
SKILL = Path("assets/skills/humanoid.pt").resolve()
NAMES = ("TaxiFuel", "ShipSteering", "HumanoidAMP")


@pytest.fixture(scope="module")
def envs():
    cfg = {"HumanoidAMP": {"task": {"motion": "walk"}}}
    return {name: isaachrl.make(name, num_envs=4, device="cpu", cfg=cfg.get(name)) for name in NAMES}


@pytest.fixture(scope="module")
def trained():
    return isaachrl.load(SKILL, num_envs=2, device="cpu")


WRONG_ACTIONS = {
    "numpy": lambda shape: np.zeros(shape, np.float32),
    "list": lambda shape: torch.zeros(shape).tolist(),
    "None": lambda shape: None,
    "str": lambda shape: "left",
    "complex": lambda shape: torch.zeros(shape, dtype=torch.complex64),
    "sparse": lambda shape: torch.zeros(shape).to_sparse(),
    "meta": lambda shape: torch.zeros(shape, device="meta"),
    "float64": lambda shape: torch.zeros(shape, dtype=torch.float64),
    "float16": lambda shape: torch.zeros(shape, dtype=torch.float16),
    "bool": lambda shape: torch.zeros(shape, dtype=torch.bool),
    "rows": lambda shape: torch.zeros(shape[0] + 1, shape[1]),
    "columns": lambda shape: torch.zeros(shape[0], shape[1] + 1),
    "flat": lambda shape: torch.zeros(shape[0] * shape[1]),
    "scalar": lambda shape: torch.zeros(()),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", WRONG_ACTIONS)
def test_invalid_actions_are_refused(envs, name, kind):
    env = envs[name]
    shape = (4, env.action_size)
    with pytest.raises(
        ConfigError, match=r"^the action is .*; expected a tensor of float32 and shape \(4, \d+\) on cpu"
    ):
        env.step(WRONG_ACTIONS[kind](shape))
    assert env.step(torch.zeros(shape)).reward.shape == (4,)


def test_the_message_of_whole_numbers_says_what_is_wrong(envs):
    with pytest.raises(ConfigError, match=r"by its number, is a tensor of int64 and shape \(4, 7\) on cpu; .*\(4, 1\)"):
        envs["TaxiFuel"].step(torch.zeros(4, 7, dtype=torch.int64))
    with pytest.raises(ConfigError, match=r"the action is a tensor of bool and shape \(4, 7\)"):
        envs["TaxiFuel"].step(torch.zeros(4, 7, dtype=torch.bool))
    with pytest.raises(
        ConfigError, match=r"the action is a tensor of int64 and shape \(4, 28\) on cpu; expected a tensor of float"
    ):
        envs["HumanoidAMP"].step(torch.zeros(4, 28, dtype=torch.int64))
    envs["TaxiFuel"].reset()  # a taxi that has run out of fuel is fined
    for dtype in (torch.int64, torch.int32, torch.uint8):
        assert envs["TaxiFuel"].step(torch.zeros(4, dtype=dtype)).reward.tolist() == [-1.0] * 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "mask",
    [
        None, [True] * 4, np.ones(4, bool), torch.ones(4), torch.ones(4, dtype=torch.int64),
        torch.ones(3, dtype=torch.bool), torch.ones(4, 1, dtype=torch.bool),
        torch.ones(4, dtype=torch.bool, device="meta"),
    ],
)  # fmt: skip
def test_invalid_masks_are_refused(envs, name, mask):
    with pytest.raises(ConfigError, match=r"^the mask is .*; expected a tensor of bool and shape \(4,\) on cpu"):
        envs[name].reset_where(mask)


@pytest.mark.parametrize("name", NAMES)
def test_states_of_another_kind_or_size_are_refused_and_change_nothing(envs, name):
    env = envs[name]
    before = env.observe()
    state, other = env.state_dict(), isaachrl.make(name, 3, device="cpu", cfg=None).state_dict()
    part = next(key for key in state if key not in ("generator", "disturbance"))
    for wrong in (
        {},
        None,
        [],
        other,
        state | {"progress": 5},
        {**state, part: {}},
        state | {"progress": state["generator"]},
    ):
        with pytest.raises(CheckpointError, match="the state of the environment does not fit: state"):
            env.load_state_dict(wrong)
    env.load_state_dict(state)
    assert all(torch.equal(before[group], values) for group, values in env.observe().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "make.name=None.: expected the name of a task"),
        ({"name": 5}, "make.name=5"),
        *[({"num_envs": n}, "make.num_envs=.*expected a whole number") for n in (1.5, "3", None, 2.0, True, [1])],
        *[({"num_envs": n}, f"num_envs={n}: at least 1") for n in (0, -1)],
        *[({"seed": seed}, "make.seed=.*expected a whole number from 0") for seed in (2**64, -1, "a", 1.5, None)],
        *[({"sim": sim}, "make.sim=.*expected the name of an engine") for sim in (None, 5)],
        *[({"device": device}, "make.device=.*expected the name of a device") for device in (None, 5)],
        *[({"cuda_graph": value}, "make.cuda_graph=") for value in (None, True)],
        *[({"cfg": cfg}, "make.cfg=.*expected sections") for cfg in (5, "x", [1])],
        ({"cfg": {"task": 5}}, "task=5: expected keys with values"),
        ({"cfg": {5: {}}}, "takes the section 'task'"),
        ({"cfg": {"task": {5: 1}}}, "unknown key task.5"),
    ],
)  # fmt: skip
def test_arguments_of_make_are_checked(changes, message):
    with pytest.raises(ConfigError, match=message):
        isaachrl.make(**({"name": "TaxiFuel", "device": "cpu"} | changes))


def test_numpy_integers_and_torch_devices_are_accepted():
    env = isaachrl.make("TaxiFuel", np.int64(3), device=torch.device("cpu"), seed=np.int32(2))
    assert env.num_envs == 3 and type(env.num_envs) is int


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": None}, "load.source=None.: expected the path of a run"),
        ({"source": 5}, "load.source=5"),
        ({"num_envs": "3"}, "load.num_envs='3'"),
        ({"num_envs": None}, "load.num_envs=None"),
        ({"num_envs": 0}, "num_envs=0: "),
        ({"seed": -1}, "load.seed=-1"),
        ({"seed": "a"}, "load.seed='a'"),
        ({"sim": None}, "load.sim=None"),
        ({"device": None}, "load.device=None"),
        ({"cfg": 5}, "load.cfg=5"),
        ({"cfg": {"task": 5}}, "task=5: expected keys with values"),
        ({"cfg": {"train": "x"}}, "train='x': expected keys with values"),
        ({"cfg": {"tsak": {}}}, "unknown key tsak"),
    ],
)
def test_arguments_of_load_are_checked(changes, message):
    with pytest.raises(IsaacHRLError, match=message):
        isaachrl.load(**({"source": SKILL, "device": "cpu"} | changes))


@pytest.mark.parametrize("path", [None, 5])
def test_a_skill_is_loaded_from_a_path(path):
    with pytest.raises(IsaacHRLError, match="Skill.load.source=.*expected the path"):
        Skill.load(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda seen: seen[:, 1:], r"the group 'proprioception' of the observation is .* expected a tensor of float32"),
        (lambda seen: seen[:1], r"and shape \(1, "),
        (lambda seen: seen.double(), "is a tensor of float64"),
        (lambda seen: seen.numpy(), "is of type ndarray"),
        (lambda seen: seen.to("meta"), "on meta"),
        (lambda seen: seen.index_fill(0, torch.tensor([1]), torch.nan), r"is not finite in environments \[1\]"),
    ],
)
def test_observations_that_a_policy_cannot_act_on_are_refused(trained, spoil, message):
    env, policy = trained
    obs = env.reset()
    with pytest.raises(ConfigError, match=message):
        policy.act(obs | {"proprioception": spoil(obs["proprioception"])})
    assert policy.act(obs).isfinite().all()


def test_observations_without_their_groups_are_refused(trained):
    env, policy = trained
    obs = env.reset()
    for wrong in (None, obs["proprioception"]):
        with pytest.raises(ConfigError, match="the observation is .*; expected tensors by group: proprioception"):
            policy.act(wrong)
    with pytest.raises(ConfigError, match="the observation has no group 'proprioception'"):
        policy.act({"style": obs["style"]})
    with pytest.raises(ConfigError, match="the mask is of type list"):
        policy.restart([True, False])
