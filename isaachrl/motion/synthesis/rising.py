"""Clips of getting up, by trajectory optimisation: `python -m isaachrl.motion.synthesis.rising front clip.npz`.

Keyframes of the motors' targets are optimised in simulation with CMA-ES (Hansen 2016): first to raise the head above
the feet at any time, then to end standing still. The clip is the simulated motion of the best keyframes. It is
reproducible from the seed on the same machine only, since contacts are chaotic.
"""

import argparse
import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isaachrl.errors import ClipError, ConfigError
from isaachrl.maths import rotations
from isaachrl.motion.clip import Clip
from isaachrl.motion.kinematics import joint_quat_from_qpos
from isaachrl.shipped import installing
from isaachrl.sim import Scene, make_sim

log = logging.getLogger("isaachrl.motion.synthesis.rising")
Floats = NDArray[np.float64]

# A keyframe is symmetric in left and right. Its columns: motors, and limits of the target in degrees.
COLUMNS: dict[str, tuple[tuple[str, ...], float, float]] = {
    "trunk bends forward": (("abdomen_y",), -57, 86),
    "head bends forward": (("neck_y",), -40, 57),
    "arms swing back": (("right_shoulder_y", "left_shoulder_y"), -178, 57),
    "arms close": (("right_shoulder_x", "left_shoulder_x"), -92, 17),
    "elbows stretch": (("right_elbow", "left_elbow"), -155, 0),
    "thighs swing back": (("right_hip_y", "left_hip_y"), -138, 54),
    "thighs close": (("right_hip_x", "left_hip_x"), -57, 11),
    "knees bend": (("right_knee", "left_knee"), 0, 155),
    "feet stretch": (("right_ankle_y", "left_ankle_y"), -54, 54),
}
MIRRORED = ("left_shoulder_x", "left_hip_x")  # motors with the opposite sign
STAND = (0, 0, 0, -6, -14, -7, -2, 14, -7)
# pitch of the lying body in degrees, its keyframe, and the initial keyframes of the search
POSES: dict[str, tuple[float, tuple[float, ...], tuple[tuple[float, ...], ...]]] = {
    "front": (90, (0, 0, -11, -17, -17, 0, -6, 6, 29), (
        (0, -17, -69, -17, -115, 0, 0, 11, -17), (0, -29, -86, -17, -34, -17, -6, 34, -34),
        (23, 0, -92, -11, -6, -92, -11, 103, -52), (34, 0, -103, -11, 0, -126, -17, 138, -52),
        (40, 0, -69, -11, 0, -120, -17, 126, -52), (29, 0, -34, -11, -11, -74, -11, 86, -34),
        (6, 0, -6, -11, -11, -17, -6, 23, -11),
    )),
    "back": (-90, (0, 0, -11, -17, -17, 0, -6, 6, 17), (
        (17, 29, 17, -17, -17, -46, -6, 86, 0), (46, 29, 34, -17, -17, -92, -11, 132, 0),
        (69, 29, -17, -17, -17, -120, -17, 143, -29), (69, 17, -80, -11, 0, -132, -17, 143, -52),
        (57, 0, -92, -11, 0, -120, -11, 126, -52), (29, 0, -46, -11, -11, -74, -11, 86, -34),
        (6, 0, -6, -11, -11, -17, -6, 23, -11),
    )),
}  # fmt: skip

GENERATIONS = (80, 60)  # of the two stages of the search
SEGMENT_S = 0.4  # initial time from one keyframe to the next
SEGMENT_RANGE_S = (0.2, 0.8)
HOLD_S = 1.5  # duration of the last keyframe
FINAL_STEPS = 35  # control steps at the end in which the body should stand
LIE_S, SETTLE_S = 0.2, 1.5  # lying still at the start of the clip; settling on the floor before that
STEP_S, SUBSTEPS, FPS = 1 / 30, 4, 60
HEAD_M, FOOT_M = 1.35, 0.13  # height of the head in standing; largest height of a foot on the floor
STAND_S = 0.7  # standing at the end of the clip
MIN_STANDING = 0.5  # least standing score of a successful search; the maximum is 1


@dataclass
class Rollout:
    """Result of P trials over T control steps.

    Args:
        height: `(P, T)` score of the head's height, from 0, lying, to 1, upright with the feet on the floor.
        standing: `(P, T)` score of standing still in the default pose, from 0 to 1.
        effort: `(P,)` mean squared joint speed, (rad/s)².
        qpos: `(T', nq)` positions of the first trial at `FPS`, if recorded.
    """

    height: Tensor
    standing: Tensor
    effort: Tensor
    qpos: Tensor


class Trials:
    """P humanoids that start lying and follow keyframes.

    Args:
        pose: `front` or `back`, the side they lie on.
        count: P.

    Raises:
        ConfigError: there is no such pose.
    """

    def __init__(self, pose: str, count: int) -> None:
        if pose not in POSES:
            raise ConfigError(f"there is no pose {pose!r} to rise from; there are: {', '.join(POSES)}")
        pitch_deg, lying, _ = POSES[pose]
        scene = Scene(robot="humanoid", timestep_s=STEP_S / SUBSTEPS)
        self.sim = make_sim(scene, count, "mujoco", torch.device("cpu"))
        robot = self.sim.robot
        self.count, self.lying = count, np.array(lying, float)
        self._motors = torch.zeros(len(COLUMNS), robot.num_dofs)
        for column, (names, _, _) in enumerate(COLUMNS.values()):
            for name in names:
                sign = -1.0 if name in MIRRORED else 1.0
                self._motors[column, robot.dof_names.index(name)] = sign * torch.pi / 180
        self._head = robot.body_names.index("head")
        self._feet = [robot.body_names.index(name) for name in ("right_foot", "left_foot")]
        self._trunk = [robot.body_names.index(name) for name in ("pelvis", "torso")]
        self._all_envs = torch.ones(count, dtype=torch.bool)
        self._lie_down(pitch_deg)

    def _lie_down(self, pitch_deg: float) -> None:
        sim = self.sim
        self._upright = sim.robot.qpos0.clone()
        qpos = self._upright.repeat(self.count, 1)
        half = torch.tensor(pitch_deg).deg2rad() / 2
        qpos[:, 2] = 0.15
        qpos[:, 3:7] = torch.stack((half.cos(), half * 0, half.sin(), half * 0))
        sim.reset(self._all_envs, qpos, torch.zeros_like(sim.qvel))
        sim.ctrl.copy_((torch.tensor(self.lying, dtype=torch.float32) @ self._motors).expand_as(sim.ctrl))
        for _ in range(round(SETTLE_S / STEP_S)):
            sim.step(SUBSTEPS)
        self._start = sim.qpos.clone(), sim.qvel.clone()

    def run(self, keys_deg: Floats, seconds: Floats, record: bool = False) -> Rollout:
        """Simulate keyframes, one sequence for each humanoid.

        Args:
            keys_deg: `(P, K, 9)` targets, in the order of `COLUMNS`.
            seconds: `(P, K)` from the previous keyframe, or from lying, to each.
            record: whether to record the first humanoid's motion.
        """
        sim = self.sim
        sim.reset(self._all_envs, *self._start)
        lying = np.broadcast_to(self.lying, (self.count, 1, len(self.lying)))
        keys = torch.tensor(np.concatenate((lying, keys_deg), axis=1), dtype=torch.float32) @ self._motors
        times = torch.tensor(np.cumsum(np.pad(seconds, ((0, 0), (1, 0))), axis=1), dtype=torch.float32)
        segments = keys.shape[1] - 1
        longest = segments * SEGMENT_S * 1.1
        times = times * (longest / times[:, -1:]).clamp(max=1.0)
        rows = torch.arange(self.count)
        height, standing, effort = [], [], torch.zeros(self.count)
        frames = [self._start[0][0]] * round(LIE_S * FPS)
        steps = round((longest + HOLD_S) / STEP_S)
        for step in range(steps):
            now = torch.full((self.count, 1), (step + 1) * STEP_S)
            i = (torch.searchsorted(times, now) - 1).clamp(0, segments - 1).squeeze(1)
            share = ((now.squeeze(1) - times[rows, i]) / (times[rows, i + 1] - times[rows, i])).clamp(0.0, 1.0)
            share = (share * share * (3.0 - 2.0 * share)).unsqueeze(1)
            sim.ctrl.copy_(torch.lerp(keys[rows, i], keys[rows, i + 1], share))
            for _ in range(round(FPS * STEP_S)):
                sim.step(round(SUBSTEPS / (FPS * STEP_S)))
                if record:
                    frames.append(sim.qpos[0].clone())
            height.append(self._height_score())
            standing.append(self._standing_score(height[-1]))
            effort += sim.qvel[:, 6:].square().mean(-1) / steps
        return Rollout(torch.stack(height, dim=1), torch.stack(standing, dim=1), effort, torch.stack(frames))

    def _height_score(self) -> Tensor:
        """`(P,)`: height of the head, halved if a foot is off the floor."""
        sim = self.sim
        head = (sim.body_pos_w[:, self._head, 2] / HEAD_M).clamp(0.0, 1.0)
        on_floor = sim.body_pos_w[:, self._feet, 2].amax(-1) < FOOT_M
        return head * (0.5 + 0.5 * on_floor)

    def _standing_score(self, height: Tensor) -> Tensor:
        """`(P,)`: score of standing upright, in the default pose and at rest."""
        sim = self.sim
        upright = rotations.axis_z(sim.body_quat_w[:, self._trunk])[..., 2].mean(1).clamp(0.0, 1.0)
        pose = (sim.qpos[:, 7:] - self._upright[7:]).square().mean(-1)
        return height * upright.square() * torch.exp(-8.0 * pose - 0.5 * sim.qvel[:, :6].square().sum(-1))


def search(pose: str, seed: int, generations: tuple[int, int] = GENERATIONS, population: int = 64) -> Clip:
    """Search for a clip of getting up.

    Args:
        pose: `front` or `back`, the side the body lies on.
        seed: of the search.
        generations: of the two stages.
        population: P, trials per generation.

    Raises:
        ClipError: the best motion does not end standing.
        ConfigError: the pose is unknown, or CMA-ES is not installed.
    """
    trials = Trials(pose, population)
    initial = np.array(POSES[pose][2], float)
    seconds = np.full(len(initial), SEGMENT_S)

    def height_score(rollout: Rollout) -> Tensor:
        return rollout.height.amax(1) + 0.5 * rollout.height.mean(1) - 0.01 * rollout.effort

    keys, seconds = _improve(trials, initial, seconds, False, height_score, generations[0], seed, 20.0)
    keys, seconds = _lead_to_standing(trials, keys, seconds)

    def standing_score(rollout: Rollout) -> Tensor:
        return (
            2.0 * rollout.standing[:, -FINAL_STEPS:].mean(1)
            + 2.0 * rollout.standing.mean(1)
            + rollout.height.mean(1)
            - 0.01 * rollout.effort
        )

    keys, seconds = _improve(trials, keys, seconds, True, standing_score, generations[1], seed + 1, 9.0)
    best = _run_one(trials, keys, seconds, True, record=True)
    score = float(best.standing[0, -FINAL_STEPS:].mean())
    if score < MIN_STANDING:
        raise ClipError(
            f"the search found nothing that gets up from {pose!r} and stands: {score:.2f} of 1 for standing still,"
            f" {MIN_STANDING} is enough; try another seed or more generations"
        )
    return _clip(f"rise_{pose}", trials, best)


def _improve(
    trials: Trials, keys: Floats, seconds: Floats, stand: bool, score: Any, generations: int, seed: int, spread: float
) -> tuple[Floats, Floats]:
    """Improve keyframes with CMA-ES; `stand` appends the standing pose."""
    try:
        cma = importlib.import_module("cma")  # optional dependency
    except ImportError as error:
        raise ConfigError(f"the search needs the package cma; type {installing('motions')}") from error
    shape, (shortest, longest) = keys.shape, SEGMENT_RANGE_S
    low, high = (np.array([column[end] for column in COLUMNS.values()], float) for end in (1, 2))

    def split(x: Floats) -> tuple[Floats, Floats]:
        rows = x.reshape(-1, x.shape[-1])
        targets = rows[:, : keys.size].reshape(-1, *shape).clip(low, high)
        return targets, (rows[:, keys.size :] / 100.0).clip(shortest, longest)

    begin = np.concatenate((keys.ravel(), 100.0 * seconds))  # times in 0.01 s, of similar magnitude as degrees
    options = {"popsize": trials.count, "seed": seed + 1, "verbose": -9, "CMA_diagonal": 100}
    strategy = cma.CMAEvolutionStrategy(begin, spread, options)
    best, best_score = begin, -np.inf
    for generation in range(generations):
        candidates = np.array(strategy.ask())
        scores = score(_run(trials, *split(candidates), stand)).nan_to_num(-1e3).double().numpy()
        strategy.tell(list(candidates), list(-scores))
        if scores.max() > best_score:
            best, best_score = candidates[scores.argmax()], scores.max()
        if generation % 10 == 0:
            log.info("generation %d: best %.2f, mean %.2f", generation, best_score, scores.mean())
    best_keys, best_seconds = split(best)
    return best_keys[0], best_seconds[0]


def _run(trials: Trials, keys: Floats, seconds: Floats, stand: bool, record: bool = False) -> Rollout:
    if stand:
        keys = np.concatenate((keys, np.broadcast_to(np.array(STAND, float), (trials.count, 1, keys.shape[2]))), axis=1)
    return trials.run(keys, seconds, record)


def _run_one(trials: Trials, keys: Floats, seconds: Floats, stand: bool, record: bool = False) -> Rollout:
    """Simulate one sequence of keyframes with all humanoids."""
    return _run(trials, np.tile(keys, (trials.count, 1, 1)), np.tile(seconds, (trials.count, 1)), stand, record)


def _lead_to_standing(trials: Trials, keys: Floats, seconds: Floats) -> tuple[Floats, Floats]:
    """Keep the keyframes up to the largest height, and replace the others by a linear transition to standing."""
    height = _run_one(trials, keys, seconds, False).height[0]
    highest_s = (int(height.argmax()) + 1) * STEP_S
    kept = min(max(int(np.searchsorted(np.cumsum(seconds), highest_s)), 1), len(keys) - 2)
    shares = np.linspace(0.0, 1.0, len(keys) - kept + 2)[1:-1, None]
    log.info("the head is highest, %.2f, after %.1f s; %d keyframes are kept", float(height.max()), highest_s, kept)
    new = keys[kept - 1] * (1.0 - shares) + np.array(STAND, float) * shares
    return np.concatenate((keys[:kept], new)), np.append(seconds, SEGMENT_S)


def _clip(name: str, trials: Trials, rollout: Rollout) -> Clip:
    """The first humanoid's motion until it has stood for `STAND_S`."""
    robot = trials.sim.robot
    last_step = int((rollout.standing[0] < MIN_STANDING).nonzero()[:, 0].max())  # before it stands
    kept = rollout.qpos[: round((LIE_S + (last_step + 1) * STEP_S + STAND_S) * FPS)]
    return Clip(
        name=name, fps=float(FPS), joint_names=tuple(joint.name for joint in robot.joints),
        body_names=robot.body_names, root_pos_w=kept[:, :3].numpy(), root_quat_w=kept[:, 3:7].numpy(),
        joint_quat=joint_quat_from_qpos(robot, kept[:, 7:]).numpy(),
    )  # fmt: skip


def main() -> None:
    """Search and write the clip."""
    parser = argparse.ArgumentParser(prog="python -m isaachrl.motion.synthesis.rising", description=__doc__)
    parser.add_argument("pose", choices=sorted(POSES), help="the side the body lies on")
    parser.add_argument("path", type=Path, help="where to write the clip (.npz)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generations", type=int, nargs=2, default=GENERATIONS, help="of the two stages of the search")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    clip = search(options.pose, options.seed, tuple(options.generations))
    clip.save(options.path)
    log.info("%s: %.1f s", options.path, clip.duration_s)


if __name__ == "__main__":
    main()
