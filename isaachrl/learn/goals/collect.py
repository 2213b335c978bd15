"""Acting with two levels in N environments, each with a phase of its own, and remembering segments."""

from typing import Any

import torch
from torch import Tensor

from isaachrl.envs import Env, Obs
from isaachrl.learn.goals.config import GoalsCfg
from isaachrl.learn.goals.contract import context_of, goal_task
from isaachrl.learn.goals.exploration import Exploration
from isaachrl.learn.goals.goals import goal_transition
from isaachrl.learn.goals.levels import Levels
from isaachrl.learn.goals.replay import SegmentReplay
from isaachrl.learn.goals.tally import EpisodeTally, Tally

NEVER = 2**40


class Collector:
    """Steps the environments and writes a segment whenever a goal has served its time or an episode ended.

    Args:
        env: the environment.
        cfg: of the learner.
        levels: who acts.
        replay: where segments go.
        generator: of the exploration.

    Attributes:
        obs: the present observation.
        goal: `(N, d)` in force.
        phase: `(N,)` steps that it has been in force for.
    """

    BUFFERS = ("goal", "phase", "lain", "first_end", "states", "actions", "rewards", "flipped", "goal_at_start")

    def __init__(
        self, env: Env, cfg: GoalsCfg, levels: Levels, replay: SegmentReplay, generator: torch.Generator
    ) -> None:
        self.env, self.cfg, self.levels, self.replay, self.generator = env, cfg, levels, replay, generator
        self.task = goal_task(env)
        n, device, c = env.num_envs, env.device, cfg.meta_period
        self.rows = torch.arange(n, device=device)
        self.worker_noise = Exploration(cfg.worker, levels.action_limits, n, generator)
        self.manager_noise = Exploration(cfg.manager, levels.limits, n, generator)
        self.states = torch.zeros(n, c + 1, env.obs_sizes["state"], device=device)
        self.actions = torch.zeros(n, c, env.action_size, device=device)
        self.rewards = torch.zeros(n, c, device=device)
        self.flipped = torch.zeros(n, c, dtype=torch.bool, device=device)
        self.phase, self.lain = (torch.zeros(n, dtype=torch.long, device=device) for _ in range(2))
        self.first_end = self._first_ends()
        self.obs = env.observe()
        self.goal = torch.zeros(n, cfg.goal_size, device=device)
        self.goal_at_start = self.goal.clone()
        self.episodes, self.signals = EpisodeTally(env), Tally("acting/")
        self.uniform_goals = self.uniform_actions = cfg.warmup_uniform
        self._begin(torch.ones(n, dtype=torch.bool, device=device))

    def _first_ends(self) -> Tensor:
        """`(N,)` steps after which the first episodes are cut short, spread over all multiples of the period."""
        c, periods = self.cfg.meta_period, max(self.env.episode_steps // self.cfg.meta_period, 1)
        drawn = torch.randint(1, periods + 1, (self.env.num_envs,), generator=self.generator, device=self.env.device)
        return drawn * c if self.cfg.stagger else torch.full_like(drawn, NEVER)

    @torch.no_grad()
    def step(self) -> None:
        """One step of all environments. Segments that end here are remembered, and new goals are set there."""
        cfg, state = self.cfg, self.obs["state"]
        drawn = self.levels.draw_action(state, self.goal, self.generator)
        noisy = self.worker_noise(drawn, torch.ones_like(self.phase, dtype=torch.bool))
        action = self.worker_noise.uniform() if self.uniform_actions else noisy
        result = self.env.advance(action)
        after, flipped = result.terminal_obs["state"], self.task.flipped()
        self.actions[self.rows, self.phase] = action
        self.rewards[self.rows, self.phase] = result.reward
        self.flipped[self.rows, self.phase] = flipped
        self.states[self.rows, self.phase + 1] = after
        carried = goal_transition(state, self.goal, after)
        self.phase = self.phase + 1
        self.lain = torch.where(flipped, self.lain + 1, 0)
        self.first_end = self.first_end - 1
        full = self.phase == cfg.meta_period
        # cut short by the learner, not by the task: the future goes on to count, as after a time limit
        given_up = (self.first_end == 0) | (full & (self.lain >= cfg.flip_reset_steps) & (cfg.flip_reset_steps > 0))
        ended = result.done | given_up
        self.lain = self.lain.masked_fill(ended, 0)
        self.episodes.add(result, ended)
        context = context_of(result.terminal_obs)
        self.obs = self.env.reset_where(ended)
        over = full | ended
        length, start_goal = self.phase, self.goal_at_start
        self.goal = carried
        states = self.states.clone()
        self._note(flipped, over)
        self._begin(over)
        sound = result.metrics.get("diverged", torch.zeros_like(result.reward)) == 0
        self.replay.push(
            over & sound,
            states=states,
            actions=self.actions,
            rewards=self.rewards,
            flipped=self.flipped,
            goal=start_goal,
            next_goal=torch.where(ended.unsqueeze(1), carried, self.goal),
            context=context,
            length=length,
            terminal=result.terminated,
        )

    def _begin(self, mask: Tensor) -> None:
        """Set new goals in the environments of `mask (N,)`, from the present observation."""
        state = self.obs["state"]
        proposal = self.levels.draw_proposal(state, context_of(self.obs), self.generator)
        noisy = self.manager_noise(proposal, mask)
        proposal = self.manager_noise.uniform() if self.uniform_goals else noisy
        wide = mask.unsqueeze(1)
        self.goal = torch.where(wide, self.levels.to_goal(proposal, state), self.goal).detach()
        self.goal_at_start = torch.where(wide, self.goal, self.goal_at_start)
        self.states[:, 0] = torch.where(wide, state, self.states[:, 0])
        self.phase = self.phase.masked_fill(mask, 0)

    def _note(self, flipped: Tensor, over: Tensor) -> None:
        """Signals: how many lie on their back, and how far whole segments lead."""
        way = self.states[:, -1, : self.task.position_size] - self.states[:, 0, : self.task.position_size]
        self.signals.add(flipped=flipped.float().mean())
        self.signals.count("metres_per_goal", way.norm(dim=-1), over & (self.phase == self.cfg.meta_period))

    def state_dict(self) -> dict[str, Any]:
        """Segments under way, noise, and the episodes' sums."""
        own = {name: getattr(self, name).clone() for name in self.BUFFERS}
        noise = {"worker_noise": self.worker_noise.state.clone(), "manager_noise": self.manager_noise.state.clone()}
        obs = {name: values.clone() for name, values in self.obs.items()}
        return own | noise | {"obs": obs, "returns": self.episodes.returns, "lengths": self.episodes.lengths}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        device = self.env.device
        for name in self.BUFFERS:
            setattr(self, name, state[name].to(device, copy=True))
        self.worker_noise.state = state["worker_noise"].to(device, copy=True)
        self.manager_noise.state = state["manager_noise"].to(device, copy=True)
        self.obs: Obs = {name: values.to(device, copy=True) for name, values in state["obs"].items()}
        self.episodes.returns = state["returns"].to(device, copy=True)
        self.episodes.lengths = state["lengths"].to(device, copy=True)
