"""A point on a line and a learner of two weights: the smallest run there is."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isaachrl.envs import Env, StepResult, registry
from isaachrl.envs.env import Obs
from isaachrl.envs.registry import World
from isaachrl.learn.learner import Exported, Learner
from isaachrl.learn.registry import register_learner


@dataclass
class PointCfg:
    episode_steps: int = 8
    lengths: list[int] = field(default_factory=list)  # given: environment i ends its episodes after lengths[i] steps
    skill: str = "none"


class Point(Env):
    """A point that an action pushes; the further from 0, the worse; beyond 2 the episode has failed."""

    def __init__(self, cfg: PointCfg, world: World) -> None:
        self.num_envs, self.device, self.generator = world.num_envs, world.device, world.generator
        self.obs_sizes, self.policy_groups, self.action_size = {"place": 2}, ("place",), 1
        self.episode_steps = cfg.episode_steps
        lengths = cfg.lengths or [cfg.episode_steps]
        self.lengths = torch.tensor([lengths[i % len(lengths)] for i in range(self.num_envs)])
        self.pos, self.time = torch.zeros(self.num_envs), torch.zeros(self.num_envs, dtype=torch.long)
        self.reset()

    def reset(self) -> Obs:
        return self.reset_where(torch.ones(self.num_envs, dtype=torch.bool))

    def advance(self, action: Tensor) -> StepResult:
        self.pos = self.pos + 0.3 * action[:, 0] + 0.05 * torch.randn(self.num_envs, generator=self.generator)
        self.time = self.time + 1
        terminated = self.pos.abs() > 2
        obs = self.observe()
        return StepResult(
            obs=obs,
            reward=-self.pos.abs(),
            terminated=terminated,
            truncated=(self.time >= self.lengths) & ~terminated,
            terminal_obs=obs,
            terms={"distance": -self.pos.abs()},
            metrics={
                "steps_walked": self.time.float(),
                "only_if_long": torch.where(self.time > 4, 1.0, torch.nan),
                "never": torch.full((self.num_envs,), torch.nan),
            },
            discount_steps=torch.ones(self.num_envs),
        )

    def reset_where(self, mask: Tensor) -> Obs:
        start = torch.rand(self.num_envs, generator=self.generator) - 0.5
        self.pos = torch.where(mask, start, self.pos)
        self.time = self.time.masked_fill(mask, 0)
        return self.observe()

    def observe(self) -> Obs:
        return {"place": torch.stack([self.pos, self.time / self.episode_steps], dim=-1)}

    def state_dict(self) -> dict[str, Any]:
        return {"pos": self.pos.clone(), "time": self.time.clone(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.pos, self.time = state["pos"].clone(), state["time"].clone()
        self.generator.set_state(state["generator"])


class Size(Enum):
    small = "small"
    large = "large"


@dataclass
class GreedyCfg:
    max_iterations: int = 6
    horizon: int = 4
    learning_rate: float = 0.1
    size: Size = Size.small


class GreedyPolicy:
    def __init__(self, net: nn.Module, env: Env) -> None:
        self.net, self.env, self.restarted = net, env, torch.zeros(env.num_envs, dtype=torch.long)

    def act(self, obs: Obs) -> Tensor:
        with torch.no_grad():
            return self.net(self.env.policy_input(obs))

    def restart(self, mask: Tensor) -> None:
        self.restarted += mask


class Greedy(Learner):
    """Follows the gradient of a guess; draws from the global generator, as foreign trainers do."""

    HEADLINE = ("reward/mean",)

    def __init__(self, env: Env, cfg: GreedyCfg, seed: int) -> None:
        self.env, self.cfg, self.max_iterations = env, cfg, cfg.max_iterations
        self.iteration = self.samples = 0
        self.net = nn.Sequential(nn.Linear(2, 1), nn.Tanh())
        self.optimizer = torch.optim.Adam(self.net.parameters(), cfg.learning_rate)
        self.obs = env.reset()

    @property
    def samples_per_iteration(self) -> int:
        return self.cfg.horizon * self.env.num_envs

    def iterate(self) -> dict[str, float]:
        total, loss = 0.0, torch.zeros(())
        for _ in range(self.cfg.horizon):
            mean = self.net(self.env.policy_input(self.obs))
            action = (mean + 0.3 * torch.randn_like(mean)).detach()
            result = self.env.step(action)
            self.obs, total = result.obs, total + float(result.reward.mean())
            loss = loss - ((action - mean).pow(2).squeeze(-1) * result.reward).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.iteration, self.samples = self.iteration + 1, self.samples + self.samples_per_iteration
        return {"reward/mean": total / self.cfg.horizon, "loss/policy": float(loss.detach()), "loss/odd": float("nan")}

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "counters": [self.iteration, self.samples],
            "obs": self.obs,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.load_weights(state)
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration, self.samples = state["counters"]
        self.obs = state["obs"]

    def weights(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "counters": [self.iteration, self.samples]}

    def load_weights(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])

    def policy(self) -> GreedyPolicy:
        return GreedyPolicy(self.net, self.env)

    def exports(self) -> list[Exported]:
        return [Exported("greedy", self.net, {"place": torch.rand(1, 2)}, "action", {"place": ["position", "time"]})]

    def save_products(self, folder: Path) -> None:
        (folder / "product.txt").write_text(str(self.iteration))


def register_all() -> None:
    """Make task `Point` and learner `greedy` known, once."""
    if "Point" not in registry.names():
        registry.register("Point", PointCfg, Point)
        registry.register("Point2", PointCfg, Point)
    register_learner("greedy", GreedyCfg, Greedy)
    register_learner("lazy", GreedyCfg, Greedy)
