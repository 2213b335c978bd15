"""Learning through the API of Isaac Gym: a task in the manner of legged_gym, trained by PPO to a return."""

import time
from typing import Any

import torch
from torch import Tensor

from gpu.compat import Worlds
from gpu.options import LIMITS_S, Options
from gpu.report import Report
from isaachrl.compat.bridge import register_task
from isaachrl.compat.isaacgym import gymtorch
from isaachrl.compat.isaacgym.settings import SETTINGS
from isaachrl.envs.registry import choose_device
from isaachrl.run.build import build_env, build_learner, seed_everything
from isaachrl.run.config.settings import resolve

RESERVE_S = 30.0  # of the section's time, to start the process, load kernels and build the environment
LEAST_RETURN = 450.0  # of at most 500
ITERATIONS, DRY_ITERATIONS = 150, 3
POINTS = 12  # of the curve
TRAIN = {
    "name": "ppo", "horizon": 16, "epochs": 4, "minibatch": 8192, "hidden": [64, 64], "learning_rate": 1e-3,
    "max_learning_rate": 3e-3, "log_std": -1.0,
}  # fmt: skip


class CartPoleCfg:
    """Its configuration."""

    class env:  # noqa: N801 - so called in such tasks
        """Number of environments."""

        num_envs = 512


class CartPole:
    """A cart with a pole, which forces up to 20 N keep upright for 500 steps of 1/60 s.

    Args:
        cfg: N.
        sim_params, physics_engine, headless: not used.
        sim_device: of the tensors.
    """

    num_obs, num_actions, max_episode_length = 4, 1, 500

    def __init__(self, cfg: CartPoleCfg, sim_params: Any, physics_engine: Any, sim_device: str, headless: bool) -> None:
        n, device = cfg.env.num_envs, torch.device(sim_device)
        self.worlds, self.num_envs = Worlds("cart", n, device, SETTINGS.engine), n
        self.gym, self.sim, self.extras = self.worlds.gym, self.worlds.sim, {}
        self.obs_buf, self.rew_buf = torch.zeros(n, 4, device=device), torch.zeros(n, device=device)
        self.episode_length_buf = torch.zeros(n, dtype=torch.long, device=device)
        self.reset_buf = torch.ones(n, dtype=torch.long, device=device)

    def step(self, actions: Tensor) -> tuple[Tensor, None, Tensor, Tensor, dict[str, Any]]:
        """A step, at whose end the episodes that are over begin anew."""
        self.worlds.efforts.zero_()
        self.worlds.efforts[:, 0] = 20.0 * actions[:, 0].clamp(-1.0, 1.0)
        self.worlds.step()
        self.episode_length_buf += 1
        position, velocity = self.worlds.dof.view(self.num_envs, 2, 2).unbind(-1)
        failed = (position[:, 0].abs() > 3.0) | (position[:, 1].abs() > 0.8)
        late = self.episode_length_buf >= self.max_episode_length
        reward = 1.0 - position[:, 1] ** 2 - 0.01 * velocity[:, 0].abs() - 0.005 * velocity[:, 1].abs()
        self.rew_buf = torch.where(failed, -2.0, reward)
        self.reset_buf = (failed | late).long()
        self.extras["time_outs"] = late & ~failed
        self.reset_idx(self.reset_buf.nonzero().flatten())
        self.obs_buf = self.worlds.dof.view(self.num_envs, 4).clone()
        return self.obs_buf, None, self.rew_buf, self.reset_buf, self.extras

    def reset_idx(self, ids: Tensor) -> None:
        """Begin new episodes near the upright position."""
        state = self.worlds.dof.view(self.num_envs, 2, 2)
        state[ids] = 0.4 * torch.rand(len(ids), 2, 2, device=state.device) - 0.2
        actors = gymtorch.unwrap_tensor(ids.to(torch.int32))
        self.gym.set_dof_state_tensor_indexed(self.sim, gymtorch.unwrap_tensor(self.worlds.dof), actors, len(ids))
        self.episode_length_buf[ids] = 0


def train(
    report: Report, num_envs: int, device: torch.device, iterations: int, limit_s: float, engine: str = "mujoco_warp"
) -> float | None:
    """Train for some iterations or seconds; the mean return over the last tenth, None if no episode ended there."""
    task = {"name": register_task(f"{__file__}:CartPole")}
    values = {"task": task, "train": TRAIN, "sim": engine, "device": str(device), "num_envs": num_envs}
    settings = resolve(values, values)
    seed_everything(settings.run.seed)
    learner = build_learner(settings, build_env(settings, num_envs, settings.run.seed))
    start, found = time.monotonic(), []
    while learner.iteration < iterations and time.monotonic() < start + limit_s:
        signals = learner.iterate()
        found.append({"samples": learner.samples, "return": signals.get("episode/return")})
    took = time.monotonic() - start
    report.figure("curve", found[:: max(1, len(found) // POINTS)])
    report.figures({"samples": learner.samples, "samples_per_s": round(learner.samples / took), "seconds": took})
    last = [row["return"] for row in found[-max(1, len(found) // 10) :] if row["return"] is not None]
    return sum(last) / len(last) if last else None


def run(report: Report, options: Options) -> None:
    """Train with `num_envs` environments; a dry run on the CPU takes a few iterations and has no bound."""
    device = choose_device(options.device)
    dry = device.type == "cpu"
    limit_s = (options.patience or 1.0) * (LIMITS_S["cartpole"] - RESERVE_S)
    reached = train(report, options.num_envs, device, DRY_ITERATIONS if dry else ITERATIONS, limit_s)
    report.figure("return", reached)
    if not dry:
        report.check("balanced", reached is not None and reached >= LEAST_RETURN, reached)
