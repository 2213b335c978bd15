"""Trained policies in Python: `env, policy = isaachrl.load("runs/HumanoidHRLMaze/<time>", num_envs=64)`."""

import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from isaachrl.config import merge
from isaachrl.envs.boundary import check_call, check_obs
from isaachrl.envs.env import Env, Obs
from isaachrl.learn.learner import Policy
from isaachrl.run.build import build_policy
from isaachrl.run.config.run_cfg import Mode
from isaachrl.run.config.settings import resolve


def load(
    source: str | os.PathLike[str],
    num_envs: int = 1,
    sim: str = "auto",
    device: str = "auto",
    seed: int | None = None,
    cfg: Mapping[str, Any] | None = None,
) -> tuple[Env, Policy]:
    """The environment of a trained policy, as in an evaluation, and the deterministic policy.

    Args:
        source: a run's folder, a checkpoint, the `weights.pt` of an export, or a skill file.
        num_envs: N.
        sim: engine, `auto`, `mujoco` or `mujoco_warp`.
        device: `auto`, `cpu`, `cuda:0`, …
        seed: of all randomness; None differs from the training's.
        cfg: changes of the training's configuration, such as `{"task": {"layout": "large"}}`.

    Raises:
        CheckpointError: the file cannot be read, or its weights do not fit the changed configuration.
        ConfigError: an unknown key or device, a value of the wrong type or range, or a task of your own that is
            not registered.
    """
    check_call("load", source=source, num_envs=num_envs, sim=sim, device=device, cfg=cfg)
    check_call("load", **({} if seed is None else {"seed": seed}))
    call: dict[str, Any] = {
        "checkpoint": os.fspath(source), "mode": Mode.evaluate.value, "num_envs": int(num_envs), "sim": sim,
        "device": str(device),
    }  # fmt: skip
    if seed is not None:
        call["seed"] = int(seed)
    values = merge(cfg or {}, call)
    settings = resolve(values, values)
    env, policy, _ = build_policy(settings, settings.num_envs, settings.evaluation_seed)
    return env, CheckedPolicy(env, policy)


class CheckedPolicy:
    """A policy that validates its observations.

    Args:
        env: the environment of the observations.
        policy: the wrapped policy.
    """

    def __init__(self, env: Env, policy: Policy) -> None:
        self.env, self.policy = env, policy

    def act(self, obs: Obs) -> Tensor:
        """See `Policy.act`.

        Raises:
            ConfigError: a group is missing, is not float32 `(N, size)` on the device, or (on the CPU) not finite.
        """
        check_obs(obs, self.env.obs_sizes, self.env.policy_groups, self.env.num_envs, self.env.device)
        return self.policy.act(obs)

    def restart(self, mask: Tensor) -> None:
        """See `Policy.restart`."""
        self.env.check_mask(mask)
        self.policy.restart(mask)
