"""An environment whose episodes end by the clock: in even rows terminated, in odd ones truncated within a step."""

import torch
from torch import Tensor

from isaachrl.envs.env import Env, Obs, StepResult

STEPS, LAST = 3, 0.25  # steps of an episode, and the length of the last one


class Clock(Env):
    """Observes the step of the episode and the row, as (step, row); the reward is the action."""

    name = "Clock"

    def __init__(self, num_envs: int = 2) -> None:
        self.num_envs, self.device, self.generator = num_envs, torch.device("cpu"), torch.Generator().manual_seed(0)
        self.obs_sizes, self.policy_groups, self.action_size, self.episode_steps = {"clock": 2}, ("clock",), 1, STEPS
        self.time, self.row = torch.zeros(num_envs), torch.arange(num_envs).float()

    def observe(self) -> Obs:
        return {"clock": torch.stack((self.time, self.row), dim=1)}

    def reset_where(self, mask: Tensor) -> Obs:
        self.time.masked_fill_(mask, 0.0)
        return self.observe()

    def advance(self, action: Tensor) -> StepResult:
        self.time += 1.0
        over, odd = self.time >= STEPS, self.row % 2 == 1
        obs, reward = self.observe(), action[:, 0]
        return StepResult(
            obs=obs,
            reward=reward,
            terminated=over & ~odd,
            truncated=over & odd,
            terminal_obs=obs,
            terms={"action": reward},
            metrics={"time": self.time.clone()},
            discount_steps=torch.where(over & odd, LAST, 1.0),
        )

    def state_dict(self) -> dict[str, Tensor]:
        return {"time": self.time.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.time.copy_(state["time"])
