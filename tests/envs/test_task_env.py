"""Slips in a task are named when its environment is built."""

import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import ConfigError
from tasks.humanoid_amp import HumanoidAMP

assert tasks


@pytest.mark.parametrize(
    ("method", "result", "message"),
    [
        (
            "observe",
            lambda: {"style": torch.zeros(2, 250)},
            r"HumanoidAMP.observe returns \['style'\], and obs_sizes has",
        ),
        (
            "observe",
            lambda: {"style": torch.zeros(2, 250), "proprioception": torch.zeros(2, 7)},
            r"the observation 'proprioception' of HumanoidAMP \(obs_layout: .*\(2, 7\).*: 223 columns",
        ),
        (
            "reward_terms",
            lambda: {name: torch.zeros(2, 1) for name in ("alive", "height", "track")},
            r"the reward 'alive' of HumanoidAMP.*\(2, 1\).*type \.squeeze\(-1\)",
        ),
        ("metrics", lambda: {"speed": torch.zeros(3)}, r"HumanoidAMP.metrics: 'speed'.*\(3,\)"),
        ("terminated", lambda: torch.zeros(2), r"HumanoidAMP.terminated.*float32.*bool"),
    ],
)
def test_a_tensor_of_another_shape_or_type_is_refused(monkeypatch, method, result, message):
    monkeypatch.setattr(HumanoidAMP, method, lambda task: result())
    cfg = {"task": {"motion": "walk", "reward": {}}}
    with pytest.raises(ConfigError, match=message):
        isaachrl.make("HumanoidAMP", 2, device="cpu", cfg=cfg)


def test_a_misspelt_reward_term_is_named_in_the_configuration_and_in_the_class(monkeypatch):
    monkeypatch.setattr(HumanoidAMP, "reward_terms", lambda task: {"aliv": torch.zeros(2)})
    cfg = {"task": {"motion": "walk", "reward": {"alive": 1.0}}}
    with pytest.raises(
        ConfigError, match=r"task.reward.alive: HumanoidAMP.reward_terms returns no 'alive'; did you mean aliv\?"
    ):
        isaachrl.make("HumanoidAMP", 2, device="cpu", cfg=cfg)


def test_a_reward_term_without_a_weight_is_refused(monkeypatch):
    terms = dict.fromkeys(("alive", "height", "track", "bonus", "more"), torch.zeros(2))
    monkeypatch.setattr(HumanoidAMP, "reward_terms", lambda task: terms)
    said = "no weight for bonus, more of HumanoidAMP.reward_terms: add to .* of HumanoidAMPCfg 'bonus': 1.0"
    with pytest.raises(ConfigError, match=said):
        isaachrl.make("HumanoidAMP", 2, device="cpu", cfg={"task": {"motion": "walk"}})


@pytest.mark.parametrize("wrong", ["histry", "cfg"])
def test_a_name_in_state_that_is_no_tensor_is_refused(monkeypatch, wrong):
    monkeypatch.setattr(HumanoidAMP, "STATE", (*HumanoidAMP.STATE, wrong))
    with pytest.raises(ConfigError, match=rf"HumanoidAMP.STATE: '{wrong}' is no tensor of the task; .*history"):
        isaachrl.make("HumanoidAMP", 2, device="cpu", cfg={"task": {"motion": "walk"}})
