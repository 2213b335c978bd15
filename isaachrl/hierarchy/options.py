"""Options (Sutton et al. 1999): a high level that chooses among frozen controllers, and the hand-over between them."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from isaachrl.config import bounded
from isaachrl.errors import SkillError
from isaachrl.hierarchy.skill import Skill
from isaachrl.maths.vectors import on_sphere
from isaachrl.nn.policy_mean import PolicyMean


@dataclass
class SwitchCfg:
    """How to switch between options.

    Args:
        hold_s: shortest time of an option.
        blend_s: duration of a hand-over, in which the motor targets do not jump.
    """

    hold_s: float = bounded(0.5, 0.0, 3600.0)
    blend_s: float = bounded(0.2, 0.0, 60.0)


@dataclass(frozen=True)
class Option:
    """A frozen controller: a skill under one latent, or under those of a policy.

    Args:
        skill: the low level.
        latent: `(d,)`, a unit vector; unused with a policy.
        policy: from `proprioception` and `group`, concatenated, to an action whose direction is the latent.
        group: the observation group of the policy's task.
        steps: k, control steps for which a latent of the policy is held.
    """

    skill: Skill
    latent: Tensor
    policy: PolicyMean | None = None
    group: str = ""
    steps: int = 1


class OptionController:
    """Chooses among options: the largest of M numbers is the option, which stays for `hold_s` or longer.

    At a switch the action (which is linear in the motor targets) does not jump: its difference from the new option's
    is added to the new option's actions, with a weight that falls linearly to 0 in `blend_s`.

    Args:
        options: by name.
        obs_sizes: sizes of the observation groups of the environment.
        num_envs: N.
        cfg: how to switch; both times are rounded to control steps, of which a switch takes one or more.

    Attributes:
        names: of the options.
        groups: the observation groups that `act` reads, concatenated.
        active: `(N,)` index of the present option.
        age: `(N,)` control steps for which it has acted; 0 at the start of an episode.
        last: `(N, A)` last action, in [-1, 1].
        offset: `(N, A)` difference of the actions at the last switch.
        latent: `(N, d)` latent of the present option; d is the largest of all skills.

    Raises:
        SkillError: an observation group of an option is missing or has another size.
    """

    STATE = ("active", "age", "last", "offset", "latent")

    def __init__(
        self, options: Mapping[str, Option], obs_sizes: Mapping[str, int], num_envs: int, cfg: SwitchCfg
    ) -> None:
        self.names, self._options = list(options), list(options.values())
        for name, option in options.items():
            _check_inputs(name, option, obs_sizes)
        step_s = self._options[0].skill.contract.step_s
        self.hold_steps, self.blend_steps = (max(1, round(s / step_s)) for s in (cfg.hold_s, cfg.blend_s))
        self.latent_size = len(options)
        self.action_contract = {"actions": self.names, "use": "the option with the largest number acts"}
        policies = dict.fromkeys(option.group for option in self._options if option.policy is not None)
        self.groups = ("proprioception", *policies)
        self._sizes = [obs_sizes[group] for group in self.groups]
        self._skills = list(dict.fromkeys(option.skill for option in self._options))
        width = max(option.skill.latent_size for option in self._options)
        latents = [functional.pad(option.latent, (0, width - len(option.latent))) for option in self._options]
        self._latents = torch.stack(latents)
        device = self._latents.device
        self._choices = torch.eye(len(options), device=device)  # `functional.one_hot` waits for the device
        self._skill_of = torch.tensor([self._skills.index(option.skill) for option in self._options], device=device)
        actions = len(self._skills[0].contract.dof_names)
        self.active, self.age = torch.zeros(2, num_envs, dtype=torch.long, device=device).unbind()
        self.last, self.offset = torch.zeros(2, num_envs, actions, device=device).unbind()
        self.latent = torch.zeros(num_envs, width, device=device)

    def project(self, action: Tensor, /) -> Tensor:
        """The choice: 1 for the option with the largest number in `action (N, M)`, 0 for the others."""
        return self._choices[action.argmax(-1)]

    @torch.no_grad()
    def act(self, inputs: Tensor, choice: Tensor, /) -> Tensor:
        """Low-level action `(N, A)` for `groups` and a choice `(N, M)`, NaN where the choice is.

        Call it once per control step.
        """
        invalid = choice.isnan().any(-1)
        wanted, fresh = choice.nan_to_num().argmax(-1), self.age == 0
        switch = fresh | ((wanted != self.active) & (self.age >= self.hold_steps) & ~invalid)
        self.active = torch.where(switch, wanted, self.active)
        self.age = torch.where(switch, 1, self.age + 1)
        action = self._act(dict(zip(self.groups, inputs.split(self._sizes, dim=-1), strict=True)))
        jump = (self.last - action).masked_fill(fresh.unsqueeze(1), 0.0)
        self.offset = torch.where(switch.unsqueeze(1), jump, self.offset)
        share = (1.0 - self.age / self.blend_steps).clamp_min(0.0).unsqueeze(1)
        self.last = (action + share * self.offset).clamp(-1.0, 1.0)
        return self.last.masked_fill(invalid.unsqueeze(1), torch.nan)

    def _act(self, obs: Mapping[str, Tensor]) -> Tensor:
        """The actions `(N, A)` of the present options, in [-1, 1], without hand-over."""
        proprioception = obs["proprioception"]
        latent = self._latents[self.active]
        for i, option in enumerate(self._options):
            if option.policy is None:
                continue
            new = on_sphere(option.policy(torch.cat((proprioception, obs[option.group]), dim=-1)))
            new = functional.pad(new, (0, latent.shape[1] - new.shape[1]))
            decides = (self.age - 1) % option.steps == 0
            held = torch.where(decides.unsqueeze(1), new, self.latent)
            latent = torch.where((self.active == i).unsqueeze(1), held, latent)
        self.latent = latent
        actions = [skill.act(proprioception, latent[:, : skill.latent_size]) for skill in self._skills]
        chosen = self._skill_of[self.active].view(1, -1, 1)
        return torch.stack(actions).take_along_dim(chosen, dim=0).squeeze(0).clamp(-1.0, 1.0)

    def style_reward(self, style_window: Tensor, latent: Tensor, /) -> Tensor:
        """Options have no common style.

        Raises:
            SkillError: always.
        """
        raise SkillError("a choice among options has no style reward; type task.hierarchy.style_weight=0")

    def restart(self, mask: Tensor, /) -> None:
        """See `StatefulController.restart`: the first option of an episode acts at once, without a hand-over."""
        self.age = self.age.masked_fill(mask, 0)

    def twin(self, num_envs: int) -> "OptionController":
        """The same options for other environments."""
        twin = copy.copy(self)
        for name in self.STATE:
            own = getattr(self, name)
            setattr(twin, name, own.new_zeros(num_envs, *own.shape[1:]))
        return twin

    def state_dict(self) -> dict[str, Tensor]:
        """See `StatefulController.state_dict`."""
        return {name: getattr(self, name).clone() for name in self.STATE}

    def load_state_dict(self, state: Mapping[str, Tensor], /) -> None:
        """See `StatefulController.load_state_dict`."""
        for name in self.STATE:
            getattr(self, name).copy_(state[name])


def _check_inputs(name: str, option: Option, obs_sizes: Mapping[str, int]) -> None:
    """Check that an environment has the observation groups of an option, of its sizes."""
    own = option.skill.contract.proprioception_size
    needed = {"proprioception": own}
    if option.policy is not None:
        inputs, latent = option.policy.sizes
        needed[option.group] = inputs - own
        if latent != option.skill.latent_size:
            raise SkillError(
                f"option {name}: its policy sets {latent} numbers, its skill takes {option.skill.latent_size}"
            )
    for group, size in needed.items():
        if group not in obs_sizes:
            raise SkillError(
                f"option {name}: it was trained on {group}, and this task has no observation group of that name; it has"
                f" {', '.join(obs_sizes)}"
            )
        if obs_sizes[group] != size:
            raise SkillError(f"option {name}: it reads {size} numbers of {group}, this task has {obs_sizes[group]}")
