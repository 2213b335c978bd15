"""The measures of a card: what each command leads to, and how the body bears changes of command and pushes."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from isaachrl.envs.disturbance import GRAVITY_MPS2, Disturbance
from isaachrl.envs.task_env import TaskEnv
from isaachrl.learn.skills.evaluation import SETTLE_S, RolloutStats, SkillEvaluation
from isaachrl.learn.skills.learner import SkillsLearner
from isaachrl.maths import rotations
from isaachrl.run.card.impulses import (
    AVERAGE_S,
    DIRECTIONS,
    PUSH_STEPS,
    Impulses,
    Outcome,
    Watch,
    j80,
    unlike_others,
    velocity_h,
)
from isaachrl.run.rollout import run_episodes

PUSHES = (0.3, 0.5)  # shares of the weight
PUSH_S = 0.5  # how long these last
IMPULSES_NS = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0)  # of a tenth of a second
PUSHED_SPEED_MPS = 1.0  # the motion that is pushed is the one that is nearest to walking straight on at this speed
PHASE_S = 1.0  # pushes begin within this time after the motion has settled: anywhere in a stride
WATCH_S = 5.0  # from the beginning of a push
MOVING = 0.3  # m/s or rad/s from which a speed is compared with the clip's as a share


class RecordedEvaluation(SkillEvaluation):
    """A `SkillEvaluation` that keeps its rollouts, and has a measure of skills without latents.

    Attributes:
        learner: has the skill.
        rollouts: of each motion's latent, then of random latents.
    """

    def __init__(self, learner: SkillsLearner) -> None:
        assert isinstance(learner.env, TaskEnv)
        super().__init__(learner.skill, learner.env, learner.task, learner.demos)
        self.learner = learner
        self.rollouts: list[RolloutStats] = []
        self.has_latents = learner.source.size > 0
        if not self.has_latents:
            self.latents = self.latents.new_zeros(len(self.names), 0)

    def roll_out(self, latent: Tensor) -> RolloutStats:
        """See `SkillEvaluation.roll_out`."""
        self.rollouts.append(super().roll_out(latent))
        return self.rollouts[-1]


def measure(evaluation: RecordedEvaluation) -> dict[str, Any]:
    """All measures, as plain data; a measure that the skill has not is None.

    Returns:
        `motions`: per motion what `SkillEvaluation.report` has;
        `recall`: mean over the motions; `clip_recall`, `coverage`, `response_s`: see there;
        `command_information`, see the function of this name; `speed_error`: mean deviation of forward speeds and turn
        rates from the clips', as a share; `foot_slip_mps`, `power_w`: means over the motions;
        `falls`: share of episodes under `changing_commands`, and with pushes of up to 0.3 and 0.5 of the weight;
        `push`: see `push_tolerance`.
    """
    learner = evaluation.learner
    report = evaluation.report(learner.source.draw)
    motions = report["clips"]
    several = evaluation.has_latents and len(motions) > 1
    if not evaluation.has_latents:  # no command that a motion could follow
        motions = {name: motion | {"recall": None} for name, motion in motions.items()}
    return {
        "recall": _mean([motion["recall"] for motion in motions.values()]) if several else None,
        "clip_recall": report["clip_recall"] if several else None,
        "coverage": report["coverage"] if evaluation.has_latents else None,
        "command_information": command_information(evaluation) if several else None,
        "response_s": report["latent_response_s"] if several else None,
        "speed_error": speed_error(motions) if several or len(motions) == 1 else None,
        "foot_slip_mps": _mean([motion["foot_slip_mps"] for motion in motions.values()]),
        "power_w": _mean([motion["power_w"] for motion in motions.values()]),
        "falls": falls(learner),
        "push": push_tolerance(evaluation, motions),
        "motions": motions,
    }


def command_information(evaluation: RecordedEvaluation) -> float | None:
    """Share of the command that can be told from the motion: 1 if each leads to one of its own, 0 if all lead to one.

    The mutual information of the commanded motion and the nearest one, over the entropy of the commands; with the
    correction of Miller (1955) for small counts. Only of bodies that stayed up; None without any.
    """
    stats = evaluation.rollouts[0]
    commanded = torch.arange(len(stats.motion), device=stats.motion.device) % len(evaluation.names)
    return mutual_information(commanded[stats.up], stats.motion[stats.up], len(evaluation.names))


def mutual_information(commanded: Tensor, motion: Tensor, count: int) -> float | None:
    """See `command_information`; of labels `(n,)` below `count`."""
    if len(commanded) == 0:
        return None
    table = torch.bincount(commanded * count + motion, minlength=count**2).view(count, count).double()
    total = table.sum()
    entropies = [_entropy(table.sum(1)), _entropy(table.sum(0)), _entropy(table.flatten())]
    bins = [(part > 0).sum() for part in (table.sum(1), table.sum(0), table.flatten())]
    corrected = [entropy + (used - 1) / (2 * total) for entropy, used in zip(entropies, bins, strict=True)]
    commands, motions, both = (float(value) for value in corrected)
    return min(max((commands + motions - both) / commands, 0.0), 1.0) if commands > 0 else None


def _entropy(counts: Tensor) -> Tensor:
    """Of shares that are proportional to these counts, nats."""
    shares = counts / counts.sum()
    return -torch.xlogy(shares, shares).sum()


def speed_error(motions: dict[str, Any]) -> float | None:
    """Mean share by which forward speeds and turn rates differ from the clips', of those that are not small."""
    pairs = [
        (motion[key], motion[f"clip_{key}"])
        for motion in motions.values()
        for key in ("speed_mps", "turn_rate_rad_s")
        if motion[key] is not None and abs(motion[f"clip_{key}"] or 0.0) >= MOVING
    ]
    return _mean([abs(own - clip) / abs(clip) for own, clip in pairs])


def falls(learner: SkillsLearner) -> dict[str, float]:
    """Share of episodes that end in a fall while commands change as in training, without and with pushes."""
    env = learner.env
    assert isinstance(env, TaskEnv)
    found: dict[str, float] = {"changing_commands": _fall_rate(learner)}
    given = env.disturbance
    for share in PUSHES:
        # masses, friction and gains have been scaled
        cfg = replace(env.task.cfg.disturb, push=share, mass=0.0, friction=0.0, gains=0.0)
        env.disturbance = Disturbance(cfg, env.sim, env.step_s, env.generator, env.action_size, env.obs_layout)
        found[f"push_{share:g}"] = _fall_rate(learner)
        env.sim.push(torch.zeros_like(env.disturbance.force_w))
    env.disturbance = given
    return found


def _fall_rate(learner: SkillsLearner) -> float:
    """Share of episodes, one in each environment, that end before their time."""
    # with a callback steps are not replayed as CUDA graphs, which would not know of an exchanged disturbance
    episodes = run_episodes(learner.env, learner.policy(), 1, on_step=lambda result: None)
    return float((episodes.lengths < learner.env.episode_steps).float().mean())


def push_tolerance(evaluation: RecordedEvaluation, motions: dict[str, Any]) -> dict[str, Any] | None:
    """What pushes in four directions do to a body that walks; None without a world for each.

    Returns:
        `motion`: the one that is pushed; `j80_ns`: by direction and over `all`, see `j80`, None if the largest impulse
        is borne; for a force of half a second of each share of the weight, as `push_0.3`: `falls` and `recovery_s`,
        the mean time until a body walks on like those without a push.
    """
    bodies = evaluation.env.num_envs // (len(DIRECTIONS) * (len(IMPULSES_NS) + len(PUSHES)))
    reached = {name: motion for name, motion in motions.items() if motion["speed_mps"] is not None}
    if bodies == 0 or not reached:
        return None
    motion = min(
        reached,
        key=lambda name: abs(reached[name]["speed_mps"] - PUSHED_SPEED_MPS) + abs(reached[name]["turn_rate_rad_s"]),
    )
    outcome = _push(evaluation, evaluation.latents[evaluation.names.index(motion)], bodies)
    success = outcome.success.float()[:, : len(IMPULSES_NS)].mean(-1)
    borne = {name: j80(IMPULSES_NS, row.tolist()) for name, row in zip(DIRECTIONS, success, strict=True)}
    found: dict[str, Any] = {"motion": motion, "j80_ns": {"all": j80(IMPULSES_NS, success.mean(0).tolist())} | borne}
    for row, share in enumerate(PUSHES, start=len(IMPULSES_NS)):
        recovery_s = float(outcome.recovery_s[:, row].nanmean())
        found[f"push_{share:g}"] = {
            "falls": 1.0 - float(outcome.success[:, row].float().mean()),
            "recovery_s": None if math.isnan(recovery_s) else recovery_s,
        }
    return found


@torch.no_grad()
def _push(evaluation: RecordedEvaluation, latent: Tensor, bodies: int) -> Outcome:
    """Push bodies under a latent `(d,)`: in each direction with each impulse, and with each share of the weight."""
    env, sim = evaluation.env, evaluation.env.sim
    shape = (len(DIRECTIONS), len(IMPULSES_NS) + len(PUSHES), bodies)
    pushes = _plan(env, shape)
    count, step_s = len(pushes.begin), env.step_s
    watch = Watch(count, round(WATCH_S / step_s), env.device)
    mean_h, force_w = torch.zeros(count, 2, device=env.device), torch.zeros(env.num_envs, 3, device=env.device)
    fell = torch.zeros(count, dtype=torch.bool, device=env.device)
    obs, latents = evaluation.begin(), latent.expand(env.num_envs, -1)
    for step in range(round((SETTLE_S + PHASE_S) / step_s) + watch.steps):
        force_w[:count] = pushes.force_w(step, rotations.heading(sim.root_quat_w[:count]))
        sim.push(force_w)
        result = env.advance(evaluation.skill.act(obs["proprioception"], latents))
        obs, fell = result.obs, fell | result.terminated[:count]
        now_h = velocity_h(sim)[:count]
        mean_h = torch.lerp(mean_h, now_h, step_s / AVERAGE_S)
        watch.update(step - pushes.begin, fell, fell, unlike_others(mean_h, shape) | fell, now_h)
    sim.push(torch.zeros_like(force_w))
    return watch.outcome(shape, step_s, has_rescue=False)


def _plan(env: TaskEnv, shape: tuple[int, int, int]) -> Impulses:
    """The pushes of a batch of bodies `(D, J, B)`: impulses of a tenth of a second, then shares of the weight."""
    device, step_s = env.device, env.step_s
    weight_n = env.sim.robot.mass_kg * GRAVITY_MPS2
    force = [impulse / (PUSH_STEPS * step_s) for impulse in IMPULSES_NS] + [share * weight_n for share in PUSHES]
    steps = [PUSH_STEPS] * len(IMPULSES_NS) + [round(PUSH_S / step_s)] * len(PUSHES)
    angle = torch.tensor(list(DIRECTIONS.values()), device=device).deg2rad().view(-1, 1, 1).expand(shape).flatten()
    force_n, lasting = (
        torch.tensor(values, device=device).view(-1, 1).expand(shape).flatten() for values in (force, steps)
    )
    first, last = (round(time / step_s) for time in (SETTLE_S, SETTLE_S + PHASE_S))
    begin = torch.randint(first, last, angle.shape, generator=env.generator, device=device)
    return Impulses(angle, force_n, begin, lasting)


def _mean(values: list[Any]) -> float | None:
    """Of the values that are not None; None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
