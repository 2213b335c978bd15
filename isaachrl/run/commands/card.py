"""`mode=card`: one page on what a skill can do, with a verdict; the numbers as JSON."""

import logging
import time
from dataclasses import replace
from typing import Any

import torch

from isaachrl.envs.registry import World
from isaachrl.envs.task_env import TaskEnv, evaluation_cfg
from isaachrl.errors import ConfigError, RenderError
from isaachrl.files import write_atomically
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.latent_source import HeldLatents
from isaachrl.learn.skills.learner import SkillsLearner
from isaachrl.learn.skills.motions import imitation_task
from isaachrl.learn.skills.policy import SkillPolicy
from isaachrl.run.build import trained_learner
from isaachrl.run.card import page, strips
from isaachrl.run.card.measures import RecordedEvaluation, measure
from isaachrl.run.card.verdict import Finding, compare
from isaachrl.run.commands.results import results_folder, write_summary
from isaachrl.run.config.settings import Settings
from isaachrl.run.rollout import run_episodes

log = logging.getLogger(__name__)

NUM_ENVS = 512  # unless typed
RISE_S, STAND_S = 5.0, 1.0  # time to get up, and to stand afterwards


def card(settings: Settings) -> dict[str, Any]:
    """Measure a skill, and write `card.html`, `card.png` and `card.json`."""
    began, num_envs = time.monotonic(), settings.run.num_envs or NUM_ENVS
    learner = trained_learner(settings, num_envs, settings.evaluation_seed)
    if not isinstance(learner, SkillsLearner):
        raise ConfigError("mode=card shows a skill; type task=HumanoidAMP mode=card skill=FILE")
    if settings.task_cfg.disturb.push > 0:
        raise ConfigError(
            f"task.disturb.push={settings.task_cfg.disturb.push:g}: a card has pushes of its own; type"
            " task.disturb.push=0"
        )
    log.info("measuring in %d worlds, some minutes on two cores; num_envs=128 is rougher and faster", num_envs)
    evaluation = RecordedEvaluation(learner)
    measures = measure(evaluation)
    measures["recovery_rate"] = recovery_rate(settings, learner, max(num_envs // 4, 1))
    verdict, findings = compare(measures)
    pictures = {}
    try:
        pictures = strips.draw(evaluation, list(measures["motions"]))
    except RenderError as error:
        log.warning("no strips: %s", error)
    folder = results_folder(settings).path
    source = str(settings.run.checkpoint)
    content = page.Card(source, _notes(learner, num_envs), verdict, findings, measures, pictures)
    files = {name: folder / f"card.{name}" for name in ("html", "png")}
    write_atomically(files["html"], page.as_html(content))
    write_atomically(files["png"], page.as_png(content))
    summary = {"skill": source, "verdict": verdict, "findings": [_plain(finding) for finding in findings]}
    summary |= measures | {name: str(path) for name, path in files.items()}
    summary |= {"seed": settings.evaluation_seed, "num_envs": num_envs, "minutes": (time.monotonic() - began) / 60.0}
    write_summary(summary, folder / "card.json")
    return summary


def recovery_rate(settings: Settings, learner: SkillsLearner, num_envs: int) -> float | None:
    """Share of bodies that get up after they were tipped over, under changing commands; None if the task tips none."""
    fallen = getattr(settings.task_cfg, "fallen", None)
    if fallen is None:
        return None
    own = evaluation_cfg(settings.task_cfg)
    steps = round((RISE_S + STAND_S) / own.step_s)
    reward = own.reward | {"track": 0.0}  # tracking needs clips of lying bodies, and no reward is needed
    cfg = replace(
        own, episode_steps=steps, reward=reward, fallen=replace(fallen, share=1.0, rise_s=RISE_S, up_s=STAND_S)
    )
    generator = torch.Generator(device=settings.device).manual_seed(settings.evaluation_seed)
    env = settings.task.make(cfg, World(num_envs, settings.run.sim, settings.device, generator), "off")
    assert isinstance(env, TaskEnv)
    policy = SkillPolicy(learner.skill, HeldLatents(learner.source, imitation_task(env), num_envs))
    return float(run_episodes(env, policy, 1).metrics["recovery_rate"].nanmean())


def _plain(finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    threshold = finding.threshold
    return {
        "threshold": str(threshold), "value": finding.value, "met": finding.met, "else": threshold.verdict,
        "reason": threshold.reason,
    }  # fmt: skip


def _notes(learner: SkillsLearner, num_envs: int) -> list[str]:
    """How the skill was trained, and how it was measured."""
    skill: Skill = learner.skill
    trained = skill.contract.training
    return [
        f"robot {skill.contract.robot}, {len(skill.contract.motions)} motions, latents: {skill.contract.latents}"
        f" ({skill.contract.latent_size} dimensions), {trained.get('samples', 0) / 1e6:.1f} million samples,"
        f" seed {trained.get('seed', '?')}",
        f"mean actions in {num_envs} worlds: each motion commanded from random starts, 2 s to settle and 5 s measured",
    ]
