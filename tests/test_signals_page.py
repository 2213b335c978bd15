"""Every signal that a learner gives is explained in docs/signals.md."""

import re
from pathlib import Path

import pytest
import torch

import isaachrl
from isaachrl import config
from isaachrl.learn.registry import learner_entry
from isaachrl.run.config.learners import load_learners
from tests.learn.goals import plane
from tests.small_learner import make_learner as small_skill

PAGE = Path(__file__).resolve().parents[1] / "docs" / "signals.md"
EXPLAINED = set(re.findall(r"`([\w/]+)`", PAGE.read_text(encoding="utf-8")))


def made(name, task, **values):
    """A registered learner."""
    load_learners()
    entry = learner_entry(name)
    return entry.build(isaachrl.make(task, num_envs=8, device="cpu"), config.build(entry.cfg_type, values), 0)


def goals(**changes):
    return plane.make_learner(plane.Plane(lengths=[6, 12, 9, 12]), **changes)


LEARNERS = {
    "skills-ase": lambda: small_skill("ase"),
    "skills-motion": lambda: small_skill("motion", deterministic_share=0.5),
    "skills-versatile": lambda: small_skill(
        "motion",
        motion="versatile",
        tracks=True,
        reward={"following": 1.0},
        rising={"separate": True},
        latent={"size": 8, "prioritize": 1.0},
    ),
    "hiro": lambda: goals(eval_every=1, eval_episodes=2),
    "hrl_cg": lambda: goals(correction="none", connection={"mode": "paper", "target": 0.1}),
    "sac": lambda: goals(worker={"algorithm": "sac"}, manager={"algorithm": "sac"}),
    "td3": lambda: plane.flat_learner(),
    "maxq": lambda: made("maxq", "TaxiFuel", horizon=100),
    "hpg": lambda: made("hpg", "TaxiFuel", horizon=100),
    "value_iteration": lambda: made("value_iteration", "TaxiFuel"),
    "subgoals": lambda: made("subgoals", "FourRooms", horizon=60),
    "hybrid": lambda: made("hybrid", "ShipSteering", horizon=60, call_steps=10),
    "flat_pg": lambda: made("flat_pg", "ShipSteering", horizon=8),
    "actor_critic": lambda: made("actor_critic", "ShipSteering", horizon=8),
    "ppo": lambda: made("ppo", "FourRooms", horizon=8, minibatch=32),
    "rsl_rl": lambda: made("rsl_rl", "FourRooms", horizon=8, minibatch=32),
    "skrl": lambda: made("skrl", "FourRooms", horizon=8, minibatch=32),
}


def explained(name: str) -> bool:
    group, _, rest = name.partition("/")
    if group in ("episode", "eval"):  # measures stand alone there
        return name in EXPLAINED or rest in EXPLAINED or f"episode/{rest}" in EXPLAINED
    if group in ("reward", "motion"):
        return f"{group}/NAME" in EXPLAINED
    if group in ("worker", "manager", "policy") and {f"worker/{rest}", rest} & EXPLAINED:
        return True  # levels have their signals in common
    return name in EXPLAINED or name.replace("low/", "meta/") in EXPLAINED


@pytest.mark.parametrize("name", LEARNERS)
def test_signals_are_explained(name):
    torch.set_num_threads(1)
    if name in ("rsl_rl", "skrl"):
        pytest.importorskip(name, reason=f"{name} is not installed; docs/python.md names its extra")
    learner = LEARNERS[name]()
    found = {signal for _ in range(3) for signal in learner.iterate()}
    kinds = {f"subtask/{kind}" for kind in ("straight", "diagonal")}
    assert len(found) >= 2 and sorted(signal for signal in found - kinds if not explained(signal)) == []


def test_overflow_signals_are_explained():
    pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    from isaachrl.sim.worlds.warp import _OVERFLOWS

    assert {f"physics/{name}_overflow" for name in _OVERFLOWS} <= EXPLAINED
