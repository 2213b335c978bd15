"""Reads options from what a user types: a motion of the task's skill, a skill file, or a trained policy."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from isaachrl import shipped
from isaachrl.errors import ReadError, SkillError, brief
from isaachrl.hierarchy.options import Option
from isaachrl.hierarchy.skill import FORMAT, Skill, check_weights
from isaachrl.nn.policy_mean import PolicyMean
from isaachrl.tensor_file import read_tensors

LAST = "checkpoints/last.pt"  # of a run's folder
_EXPECTED = (
    "an option is a motion of task.skill (walk), a motion of another skill (PATH:MOTION), a skill file without latents,"
    " or a run of `train=ppo` over a skill"
)


def skill_path(name: str) -> Path:
    """Path of a skill file, see `shipped.find`.

    Raises:
        SkillError: there is no such file.
    """
    return _path(name) or _refuse(
        f"no skill file {name}; pretrain one with `{shipped.PROGRAM} task=HumanoidAMP` and pass skill=RUN/skill.pt, or"
        f" name a shipped one{shipped.names_like(name)}"
    )


def read_options(specs: Mapping[str, str], skill: str, device: torch.device) -> dict[str, Option]:
    """The options of a configuration.

    Args:
        specs: by name; `MOTION` of `skill`, `PATH:MOTION`, or the path of a skill without latents, a checkpoint or a
            run's folder. What has no `/`, does not end in `.pt` and is not the name of a shipped file is a motion.
        skill: file of the task's skill.
        device: of the networks.

    Raises:
        SkillError: a file cannot be read or is neither, or a skill has no such motion.
    """

    @cache  # options of one file share its network
    def load(path: Path) -> Skill:
        return Skill.load(path, device)

    options = {}
    for name, spec in specs.items():
        try:
            options[name] = _read(str(spec), skill, lambda file: load(skill_path(file).resolve()), device)
        except (SkillError, ReadError) as error:
            hint = "" if _is_path(str(spec)) else f"; {_EXPECTED}"
            raise SkillError(f"task.options.{name}={brief(spec)}: {error}{hint}") from error
    return options


def _read(spec: str, skill: str, load: Callable[[str], Skill], device: torch.device) -> Option:
    """One option."""
    file, motion = _file_and_motion(spec) if _is_path(spec) else (skill, spec)
    path = _path(file, LAST) or _refuse(f"there is no file or run {file}; {_EXPECTED}")
    content = read_tensors(path)
    if isinstance(content, dict) and content.get("format") != FORMAT:
        return _policy(content, load, device)
    own = load(file)
    if not motion and own.latent_size:
        raise SkillError(f"the skill takes latents, so name one of its motions ({', '.join(own.contract.motions)})")
    return Option(own, own.prototype_of(motion) if motion else torch.zeros(0, device=device))


def _is_path(spec: str) -> bool:
    """Whether it names a file or folder, not a motion."""
    file = _file_and_motion(spec)[0]
    return "/" in spec or os.sep in spec or file.endswith(".pt") or file in shipped.policies()


def _file_and_motion(spec: str) -> tuple[str, str]:
    """The parts of `PATH:MOTION`; the path may begin with a drive (`C:`) on Windows."""
    drive, rest = os.path.splitdrive(spec)
    file, _, motion = rest.partition(":")
    return drive + file, motion


def _policy(content: Mapping[str, Any], load: Callable[[str], Skill], device: torch.device) -> Option:
    """The option of a checkpoint of PPO over a skill."""
    task, learner = (content.get(key) for key in ("task", "learner"))
    try:
        cfg, weights = content["config"]["task"], content["learner_state"]["agent"]["model"]
        file, steps = cfg["skill"], cfg["hierarchy"]["steps"]
    except (KeyError, TypeError) as error:
        raise SkillError(f"it is no policy over a skill (task {brief(task)}, learner {brief(learner)})") from error
    if not isinstance(task, str) or not isinstance(file, str) or type(steps) is not int or steps < 1:
        raise SkillError(f"it names no task, skill and number of steps, but {brief((task, file, steps))}")
    skill, trained_on = load(file), content.get("skill")
    if trained_on and trained_on != skill.digest():  # files of earlier versions have none
        raise SkillError(
            f"its policy was trained on another skill than {file} holds now, so its latents mean other things"
        )
    try:
        policy = PolicyMean(check_weights(weights)).to(device)
        policy(torch.zeros(1, policy.sizes[0], device=device))
    except (KeyError, RuntimeError, ValueError, IndexError) as error:  # names or sizes of weights
        raise SkillError(f"its weights cannot be used ({brief(error)})") from error
    return Option(skill, torch.zeros(skill.latent_size, device=device), policy, task, steps)


def _path(name: str, *inside: str) -> Path | None:
    """The file of a name; `inside`: also in a folder of that name."""
    try:
        path = shipped.find(name, *inside)
    except OSError as error:
        raise SkillError(f"{name} cannot be read: {error.strerror or error}") from error
    return path if path and path.is_file() else None


def _refuse(message: str) -> Path:
    raise SkillError(message)
