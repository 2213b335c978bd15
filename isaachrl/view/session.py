"""An environment and its policy, stepped in real time at a user's command. It knows no window and no browser."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from isaachrl.envs.env import Env, StepResult, has_bodies, innermost, observable
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.learner import Policy

PUSH_S = 0.1
KEPT_S = 10.0  # of the plots
PAUSED_S = 0.1  # between frames while paused
LATE_S = 0.3  # behind real time by more than this, the clock starts anew


@runtime_checkable
class Commanded(Protocol):
    """A policy that is a skill, whose latent a user may set.

    Attributes:
        skill: the skill.
    """

    skill: Skill

    def command(self, latent: Tensor | None) -> None:
        """Hold the latent `(d,)` in all environments; None draws latents again."""
        ...


class Session:
    """N environments under one policy. Set its attributes from any thread; `run` reads them between steps.

    Args:
        env: the outermost environment of a task with bodies.
        policy: acts on its observations.

    Attributes:
        sim, task: of the innermost environment; without a task of this project None.
        choices: what can be commanded by name, each an action `(A,)`: the motions of a skill, or options.
        choice: action `(A,)` that replaces the policy's (for a skill: its latent); None lets the policy act.
        controls: ranges of the task's target by name, see `Task.controls`.
        target: values for them; None leaves the target to the task.
        paused, speed: whether time stands still, and its speed; 1 is real time.
        on_frame: called after each control step, and now and then while paused.
        terms: the weighted reward terms and `reward` of world 0 in the last `KEPT_S`, by name.
        actions: the actions of world 0 in that time, each `(A,)`.
        times_s: simulated time of these.
        time_s, episodes: simulated time, and ended episodes of world 0.
        realtime: simulated over real time of the last second or so.

    Raises:
        ConfigError: the task has no bodies.
    """

    def __init__(self, env: Env, policy: Policy) -> None:
        bottom: Any = innermost(env)
        if not has_bodies(bottom):
            raise ConfigError(
                f"task={env.name} has no bodies, so there is nothing to view; type mode=play, which films what it has"
            )
        self.env, self.policy, self._bottom = env, policy, bottom
        self.sim, self.task = bottom.sim, getattr(bottom, "task", None)
        self.choices = dict(_choices(env, policy))
        self.controls = {} if self.task is None else self.task.controls()
        self.choice: Tensor | None = None
        self.target: dict[str, float] | None = None
        self.paused, self.speed = False, 1.0
        self.on_frame: Callable[[], None] = lambda: None
        kept = max(int(KEPT_S / env.step_s), 2)
        self.times_s: deque[float] = deque(maxlen=kept)
        self.terms: dict[str, deque[float]] = {}
        self._kept = kept
        self.actions: deque[Tensor] = deque(maxlen=kept)
        self.realtime = 1.0
        self.time_s, self.episodes, self._steps_left = 0.0, 0, 0
        self._reset_asked, self._steps_asked = True, 0
        self._push_n: tuple[float, float] | None = None
        self._force_w = torch.zeros(self.sim.num_envs, 3, device=self.sim.device)
        self._due = self._last = time.monotonic()
        self._parent = observable(env)
        if self._parent is not None:
            self._parent.observer = self._after_control_step

    def close(self) -> None:
        """Detach from the environment."""
        if self._parent is not None:
            self._parent.observer = None

    def push(self, impulse_ns: float, direction_rad: float) -> None:
        """Push the root bodies with an impulse in N s, towards an angle in the world, for `PUSH_S`."""
        force = torch.tensor(direction_rad)
        self._push_n = (impulse_ns / PUSH_S * float(force.cos()), impulse_ns / PUSH_S * float(force.sin()))

    def reset(self) -> None:
        """Begin new episodes with the next step."""
        self._reset_asked = True

    def step_once(self) -> None:
        """Take one step while paused."""
        self._steps_asked += 1

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Step in real time until `stop()`."""
        while not stop():
            if self.paused and not self._steps_asked and not self._reset_asked:
                self.on_frame()
                time.sleep(PAUSED_S)
                self._due = self._last = time.monotonic()
                continue
            self._steps_asked = max(self._steps_asked - 1, 0)
            self.step()

    @torch.no_grad()
    def step(self) -> StepResult:
        """One step of the outermost environment, with the reset of ended episodes."""
        if self._reset_asked:
            self._reset_asked = False
            self.env.reset()
            everywhere = torch.ones(self.env.num_envs, dtype=torch.bool, device=self.env.device)
            self.policy.restart(everywhere)
            self._end_push(everywhere)
        if self.task is not None and (target := self.target) is not None:  # read once: another thread may remove it
            self.task.steer(target)
        action = self._act()
        self._begin_push()
        result = self.env.advance(action)
        if self._parent is None:
            self._after_control_step()
        self._remember(result, action)
        self.episodes += int(result.done[0])
        self.env.reset_where(result.done)
        self.policy.restart(result.done)
        self._end_push(result.done)
        return result

    def _act(self) -> Tensor:
        """The policy's action, or what the user has chosen."""
        choice = self.choice  # read once, too
        if isinstance(self.policy, Commanded):
            self.policy.command(choice)
        elif choice is not None:
            return choice.expand(self.env.num_envs, -1).contiguous()
        return self.policy.act(self.env.observe())

    def _begin_push(self) -> None:
        """Begin a push that was asked for."""
        if self._push_n is not None:
            force, self._push_n = self._push_n, None
            self._force_w = torch.tensor([*force, 0.0], device=self.sim.device).repeat(self.sim.num_envs, 1)
            self._steps_left = max(round(PUSH_S / self._bottom.step_s), 1)
            if (disturbance := getattr(self._bottom, "disturbance", None)) is not None:
                disturbance.push(self._force_w, self._steps_left)
            self.sim.push(self._force_w)

    def _end_push(self, mask: Tensor) -> None:
        """End a push in the worlds of `mask (N,)`, whose episodes ended."""
        if self._steps_left:
            self._force_w = self._force_w.masked_fill(mask.unsqueeze(-1), 0.0)
            self.sim.push(self._force_w)

    def _after_control_step(self) -> None:
        """End a push, show the state, and wait until it is due."""
        if self._steps_left:
            self._steps_left -= 1
            if not self._steps_left:
                self.sim.push(torch.zeros_like(self._force_w))
        self.time_s += self._bottom.step_s
        self.on_frame()
        now = time.monotonic()
        passed, self._last = now - self._last, now
        wait = self._due + self._bottom.step_s / self.speed - now
        self._due = now + wait if wait > -LATE_S else now
        if wait > 0:
            time.sleep(wait)
        share = min(passed, 1.0)
        self.realtime += share * (self._bottom.step_s / max(passed, 1e-6) - self.realtime)

    def _remember(self, result: StepResult, action: Tensor) -> None:
        """Keep the reward terms and the action of world 0."""
        self.times_s.append(self.time_s)
        self.actions.append(action[0].cpu())
        for name, value in {"reward": result.reward, **result.terms}.items():
            self.terms.setdefault(name, deque(maxlen=self._kept)).append(float(value[0]))


def _choices(env: Env, policy: Policy) -> Iterator[tuple[str, Tensor]]:
    """Names and actions of what a user can command: motions of a skill, or options."""
    controller: Any = getattr(env, "skill", None) or (policy.skill if isinstance(policy, Commanded) else None)
    skill: Any = getattr(controller, "skill", controller)  # of a rescue, the commanded skill
    names = env.action_contract.get("actions")
    if names and controller is not None:
        for name, row in zip(names, 2.0 * torch.eye(len(names), device=env.device) - 1.0, strict=True):
            yield name, row
    elif isinstance(skill, Skill) and skill.contract.latents == "motion":
        for name in skill.contract.motions:
            yield name, skill.prototype_of(name)
