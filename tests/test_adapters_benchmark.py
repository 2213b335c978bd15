"""The comparison of libraries: what is recorded, and libraries that are missing."""

import dataclasses
import json

import pytest
import torch

from benchmarks import adapters
from isaachrl.errors import ConfigError
from tests.adapters.clock import Clock


def test_rollouts_are_recorded_and_missing_libraries_left_out(tmp_path, monkeypatch, capsys):
    def train(env, cfg, seed):
        for step in range(cfg.max_iterations * cfg.horizon):
            env.step(torch.full((env.num_envs, 1), step // cfg.horizon + seed, dtype=torch.float32))

    def missing(env, cfg, seed):
        raise ConfigError("not installed")

    monkeypatch.setattr(adapters, "make", lambda task, num_envs, seed: Clock(num_envs))
    monkeypatch.setattr(adapters, "TRAIN", {"sb3": train, "skrl": missing})
    result = adapters.main([str(tmp_path), "only=sb3,skrl", "iterations=6", "num_envs=2", "seed=1"])
    assert result["reward"] == {"sb3": {"first": 1.5, "last": 5.5}}, "of the rewards 1, 2, … 6"
    lines = [json.loads(line) for line in (tmp_path / "sb3" / "metrics.jsonl").read_text().splitlines()]
    assert [line["samples"] for line in lines] == [64, 128, 192, 256, 320, 384]
    assert (tmp_path / "curves.png").exists() and "skrl is left out: not installed" in capsys.readouterr().err


@pytest.mark.parametrize("library", ["rl_games", "rsl_rl", "skrl"])
def test_the_learners_train_with_the_hyper_parameters_of_all(tmp_path, monkeypatch, library):
    pytest.importorskip(library, reason="not installed")
    configurations = []
    entry = adapters.learner_entry

    def seen(name):
        found = entry(name)
        build = found.build
        return dataclasses.replace(
            found, build=lambda env, cfg, seed: configurations.append(cfg) or build(env, cfg, seed)
        )

    monkeypatch.setattr(adapters, "learner_entry", seen)
    monkeypatch.setattr(adapters, "make", lambda task, num_envs, seed: Clock(num_envs))
    result = adapters.main([str(tmp_path), f"only={library}", "iterations=1", "num_envs=4"])
    assert list(result["reward"]) == [library]
    (cfg,) = configurations
    assert (cfg.horizon, cfg.minibatch, cfg.gamma, cfg.kl_target, cfg.learn_std) == (32, 32, 0.97, 0.0, True)
