"""Acting with all levels in N environments, each with phases of its own, and remembering segments."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import context_of, goal_task
from isaachrl.learn.goals.exploration import Exploration
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.replay import SegmentReplay
from isaachrl.learn.goals.segments import OpenSegments
from isaachrl.learn.goals.tally import EpisodeTally, Tally

NEVER = 2**40


class Collector:
    """Steps the environments and writes a segment whenever a goal has served its time or an episode ended.

    Args:
        env: the environment.
        cfg: of the learner.
        levels: who acts.
        replays: where segments go, of the lowest manager first.
        generator: of the exploration.

    Attributes:
        obs: the present observation.
        segments: those under way, of the lowest manager first.
        tested: `(N,)` bool, the worker acts without noise to see whether its goal can be reached.
    """

    def __init__(
        self, env: Env, cfg: GoalsCfg, levels: Levels, replays: list[SegmentReplay], generator: torch.Generator
    ) -> None:
        self.env, self.cfg, self.levels, self.generator = env, cfg, levels, generator
        self.task = goal_task(env)
        n, device = env.num_envs, env.device
        limits = [levels.action_limits, *[levels.limits] * len(replays)]
        pairs = zip(cfg.level_cfgs(), limits, strict=True)
        self.noises = [Exploration(level, bounds, n, generator) for level, bounds in pairs]
        self.segments = [OpenSegments(n, replay) for replay in replays]
        self.every = torch.ones(n, dtype=torch.bool, device=device)
        self.buffers = ("lain", "first_end", "tested") if cfg.hindsight else ("lain", "first_end")
        self.tested = ~self.every
        self.lain = torch.zeros(n, dtype=torch.long, device=device)
        self.first_end = self._first_ends()
        self.obs = env.observe()
        self.episodes, self.signals = EpisodeTally(env), Tally("acting/")
        self.uniform_goals = self.uniform_actions = cfg.warmup_uniform
        self._begin([self.every] * len(replays))

    def _first_ends(self) -> Tensor:
        """`(N,)` steps after which the first episodes are cut short, spread over all multiples of the top period."""
        c = self.cfg.periods[-1]
        periods = max(self.env.episode_steps // c, 1)
        drawn = torch.randint(1, periods + 1, (self.env.num_envs,), generator=self.generator, device=self.env.device)
        return drawn * c if self.cfg.stagger else torch.full_like(drawn, NEVER)

    @torch.no_grad()
    def step(self) -> None:
        """One step of all environments. Segments that end here are remembered, and new goals are set there."""
        cfg, state, lowest = self.cfg, self.obs["state"], self.segments[0]
        noisy = self.noises[0](self.levels.draw(0, state, lowest.goal, self.generator), self.every)
        if cfg.hindsight:
            noisy = torch.where(self.tested.unsqueeze(1), self.levels.act(state, lowest.goal), noisy)
        action = self.noises[0].uniform() if self.uniform_actions else noisy
        result = self.env.advance(action)
        after, flipped = result.terminal_obs["state"], self.task.flipped()
        taken = [action, *(self._taken(segments) for segments in self.segments[:-1])]
        for segments, own in zip(self.segments, taken, strict=True):
            segments.add(own, result.reward, flipped, state, after)
        self.lain = torch.where(flipped, self.lain + 1, 0)
        self.first_end = self.first_end - 1
        # cut short by the learner, not by the task: the future goes on to count, as after a time limit
        lain_long = lowest.full & (self.lain >= cfg.flip_reset_steps) & (cfg.flip_reset_steps > 0)
        ended = result.done | (self.first_end == 0) | lain_long
        self.lain = self.lain.masked_fill(ended, 0)
        self.episodes.add(result, ended)
        context = context_of(result.terminal_obs)
        self.obs = self.env.reset_where(ended)
        over = [segments.full | ended for segments in self.segments]
        fields = [segments.snapshot() for segments in self.segments]
        carried, tested = [segments.goal for segments in self.segments], self.tested
        self._note(flipped, over[0])
        for noise in self.noises:
            noise.restart(ended)
        self._begin(over)
        sound = result.metrics.get("diverged", torch.zeros_like(result.reward)) == 0
        for number, segments in enumerate(self.segments):
            following = torch.where(ended.unsqueeze(1), carried[number], segments.goal)
            ending = {"next_goal": following, "context": context, "terminal": result.terminated, "tested": tested}
            segments.replay.push(over[number] & sound, **fields[number], **ending)

    def _taken(self, segments: OpenSegments) -> Tensor:
        """The manager's action `(N, d)` that set the present goal."""
        return self.levels.to_proposal(segments.goal_at_start, segments.states[:, 0])

    def _begin(self, masks: list[Tensor]) -> None:
        """Set new goals from the present observation, from the top down; each manager's where its mask `(N,)` says."""
        state, wish = self.obs["state"], context_of(self.obs)
        for number in reversed(range(len(masks))):
            segments, noise = self.segments[number], self.noises[number + 1]
            proposal = self.levels.draw(number + 1, state, wish, self.generator)
            noisy = noise(proposal, masks[number])
            proposal = noise.uniform() if self.uniform_goals else noisy
            segments.begin(masks[number], state, self.levels.to_goal(proposal, state))
            wish = segments.goal
        if self.cfg.hindsight:
            drawn = torch.rand(self.every.shape, generator=self.generator, device=self.env.device)
            chosen = (drawn < self.cfg.subgoal_testing_rate) & (not self.uniform_actions)
            self.tested = torch.where(masks[0], chosen, self.tested)

    def _note(self, flipped: Tensor, over: Tensor) -> None:
        """Signals: how many lie on their back, and how far whole segments of the lowest manager lead."""
        states, size = self.segments[0].states, self.task.position_size
        way = states[:, -1, :size] - states[:, 0, :size]
        self.signals.add(flipped=flipped.float().mean())
        self.signals.count("metres_per_goal", way.norm(dim=-1), over & self.segments[0].full)

    def state_dict(self) -> dict[str, Any]:
        """Segments under way, noise, and the episodes' sums."""
        state: dict[str, Any] = {name: getattr(self, name).clone() for name in self.buffers}
        for name, noise in zip(self.levels.names, self.noises, strict=True):
            state[f"{name}_noise"] = noise.state_dict()
        for number, segments in enumerate(self.segments):
            state |= segments.state_dict(_suffix(number))
        obs = {name: values.clone() for name, values in self.obs.items()}
        return state | {"obs": obs, "returns": self.episodes.returns, "lengths": self.episodes.lengths}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        device = self.env.device
        for name in self.buffers:
            setattr(self, name, state[name].to(device, copy=True))
        for name, noise in zip(self.levels.names, self.noises, strict=True):
            noise.load_state_dict(state[f"{name}_noise"])
        for number, segments in enumerate(self.segments):
            segments.load_state_dict(state, _suffix(number))
        self.obs: Obs = {name: values.to(device, copy=True) for name, values in state["obs"].items()}
        self.episodes.returns = state["returns"].to(device, copy=True)
        self.episodes.lengths = state["lengths"].to(device, copy=True)


def _suffix(number: int) -> str:
    return f"_{number}" if number > 0 else ""
