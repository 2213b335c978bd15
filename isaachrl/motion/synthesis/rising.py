"""Getting up from the floor, searched for in the physics: `python -m isaachrl.motion.synthesis.rising front clip.npz`.

No plan of footsteps says how hands, knees and feet take turns at carrying a body. So targets of the motors over time
are searched for (CMA-ES, Hansen 2016): first ones that bring the head up over the feet at any moment, then, from there
on, ones that end in standing still. What the body does under the best targets is the clip. Contacts make the way there
chaotic: a seed gives the same clip again on the same machine, on another one perhaps another clip.
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
from isaachrl.sim import Scene, make_sim

log = logging.getLogger("isaachrl.motion.synthesis.rising")
Floats = NDArray[np.float64]

# Left and right do the same. Motors of each column of a keyframe, and how far it may ask for, in degrees.
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
MIRRORED = ("left_shoulder_x", "left_hip_x")  # the same movement has the other sign
STAND = (0, 0, 0, -6, -14, -7, -2, 14, -7)
# where the search begins: the pitch of the lying body, what it lies with, and keyframes that somebody might try
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

GENERATIONS = (80, 60)  # of the two parts of the search
SEGMENT_S = 0.4  # from one keyframe to the next; the search may stretch it and shorten it
SEGMENT_RANGE_S = (0.2, 0.8)
HOLD_S = 1.5  # with the last keyframe
HELD = 35  # control steps at the end in which it should stand
LIE_S, SETTLE_S = 0.2, 1.5  # of lying still at the beginning of the clip; to come to lie before that
STEP_S, SUBSTEPS, FPS = 1 / 30, 4, 60
HEAD_M, FOOT_M = 1.35, 0.13  # height of a standing head, and below which a foot stands
STOOD_S = 0.7  # of standing at the end of the clip
REACHED = 0.5  # of the greatest score for standing still, which is 1: less is no standing


@dataclass
class Tried:
    """What came of P trials.

    Args:
        height: `(P, T)` from 0, lying, to 1, upright over standing feet, after each control step.
        still: `(P, T)` from 0 to 1, standing at rest in the default pose, after each control step.
        effort: `(P,)` mean squared joint speed, (rad/s)².
        qpos: `(T', nq)` coordinates of the first trial at `FPS`, if recorded.
    """

    height: Tensor
    still: Tensor
    effort: Tensor
    qpos: Tensor


class Trials:
    """P bodies that lie on the floor and follow keyframes.

    Args:
        pose: `front` or `back`, what they lie on.
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
        self._everyone = torch.ones(count, dtype=torch.bool)
        self._lie_down(pitch_deg)

    def _lie_down(self, pitch_deg: float) -> None:
        sim = self.sim
        self._upright = sim.robot.qpos0.clone()
        qpos = self._upright.repeat(self.count, 1)
        half = torch.tensor(pitch_deg).deg2rad() / 2
        qpos[:, 2] = 0.15
        qpos[:, 3:7] = torch.stack((half.cos(), half * 0, half.sin(), half * 0))
        sim.reset(self._everyone, qpos, torch.zeros_like(sim.qvel))
        sim.ctrl.copy_((torch.tensor(self.lying, dtype=torch.float32) @ self._motors).expand_as(sim.ctrl))
        for _ in range(round(SETTLE_S / STEP_S)):
            sim.step(SUBSTEPS)
        self._start = sim.qpos.clone(), sim.qvel.clone()

    def run(self, keys_deg: Floats, seconds: Floats, record: bool = False) -> Tried:
        """Let all bodies follow their keyframes.

        Args:
            keys_deg: `(P, K, 9)` targets, in the order of `COLUMNS`.
            seconds: `(P, K)` from the keyframe before, or from lying, to each.
            record: whether to keep what the first body does.
        """
        sim = self.sim
        sim.reset(self._everyone, *self._start)
        lying = np.broadcast_to(self.lying, (self.count, 1, len(self.lying)))
        keys = torch.tensor(np.concatenate((lying, keys_deg), axis=1), dtype=torch.float32) @ self._motors
        times = torch.tensor(np.cumsum(np.pad(seconds, ((0, 0), (1, 0))), axis=1), dtype=torch.float32)
        segments = keys.shape[1] - 1
        longest = segments * SEGMENT_S * 1.1
        times = times * (longest / times[:, -1:]).clamp(max=1.0)
        rows = torch.arange(self.count)
        height, still, effort = [], [], torch.zeros(self.count)
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
            height.append(self._height())
            still.append(self._still(height[-1]))
            effort += sim.qvel[:, 6:].square().mean(-1) / steps
        return Tried(torch.stack(height, dim=1), torch.stack(still, dim=1), effort, torch.stack(frames))

    def _height(self) -> Tensor:
        """`(P,)`: the height of the head, half of it without feet on the floor."""
        sim = self.sim
        head = (sim.body_pos_w[:, self._head, 2] / HEAD_M).clamp(0.0, 1.0)
        standing = sim.body_pos_w[:, self._feet, 2].amax(-1) < FOOT_M
        return head * (0.5 + 0.5 * standing)

    def _still(self, height: Tensor) -> Tensor:
        """`(P,)`: how much a body stands, upright, in the default pose and at rest."""
        sim = self.sim
        upright = rotations.axis_z(sim.body_quat_w[:, self._trunk])[..., 2].mean(1).clamp(0.0, 1.0)
        pose = (sim.qpos[:, 7:] - self._upright[7:]).square().mean(-1)
        return height * upright.square() * torch.exp(-8.0 * pose - 0.5 * sim.qvel[:, :6].square().sum(-1))


def search(pose: str, seed: int, generations: tuple[int, int] = GENERATIONS, population: int = 64) -> Clip:
    """A clip of getting up.

    Args:
        pose: `front` or `back`, what the body lies on.
        seed: of the search.
        generations: of its two parts; each tries `population` bodies.
        population: P.

    Raises:
        ClipError: nothing was found that stands in the end.
        ConfigError: the pose is unknown, or CMA-ES is not installed.
    """
    trials = Trials(pose, population)
    guess = np.array(POSES[pose][2], float)
    seconds = np.full(len(guess), SEGMENT_S)

    def high(tried: Tried) -> Tensor:
        return tried.height.amax(1) + 0.5 * tried.height.mean(1) - 0.01 * tried.effort

    keys, seconds = _improve(trials, guess, seconds, False, high, generations[0], seed, 20.0)
    keys, seconds = _lead_to_standing(trials, keys, seconds)

    def still(tried: Tried) -> Tensor:
        # at the end above all, but also as soon as possible
        return (
            2.0 * tried.still[:, -HELD:].mean(1)
            + 2.0 * tried.still.mean(1)
            + tried.height.mean(1)
            - 0.01 * tried.effort
        )

    keys, seconds = _improve(trials, keys, seconds, True, still, generations[1], seed + 1, 9.0)
    found = _run_one(trials, keys, seconds, True, record=True)
    reached = float(found.still[0, -HELD:].mean())
    if reached < REACHED:
        raise ClipError(
            f"the search found nothing that gets up from {pose!r} and stands: {reached:.2f} of 1 for standing still,"
            f" {REACHED} is enough; try another seed or more generations"
        )
    return _clip(f"rise_{pose}", trials, found)


def _improve(
    trials: Trials, keys: Floats, seconds: Floats, stand: bool, score: Any, generations: int, seed: int, spread: float
) -> tuple[Floats, Floats]:
    """The best keyframes that CMA-ES came across, from these on; `stand` appends the standing pose to all."""
    try:
        cma = importlib.import_module("cma")  # only here: it is an extra
    except ImportError as error:
        raise ConfigError('the search needs the package cma; type pip install -e ".[motions]"') from error
    shape, (shortest, longest) = keys.shape, SEGMENT_RANGE_S
    low, high = (np.array([column[end] for column in COLUMNS.values()], float) for end in (1, 2))

    def split(x: Floats) -> tuple[Floats, Floats]:
        rows = x.reshape(-1, x.shape[-1])
        asked = rows[:, : keys.size].reshape(-1, *shape).clip(low, high)
        return asked, (rows[:, keys.size :] / 100.0).clip(shortest, longest)

    begin = np.concatenate((keys.ravel(), 100.0 * seconds))  # hundredths of a second: as large as degrees
    options = {"popsize": trials.count, "seed": seed + 1, "verbose": -9, "CMA_diagonal": 100}
    strategy = cma.CMAEvolutionStrategy(begin, spread, options)
    best, best_score = begin, -np.inf
    for generation in range(generations):
        asked = np.array(strategy.ask())
        scores = score(_run(trials, *split(asked), stand)).nan_to_num(-1e3).double().numpy()
        strategy.tell(list(asked), list(-scores))
        if scores.max() > best_score:
            best, best_score = asked[scores.argmax()], scores.max()
        if generation % 10 == 0:
            log.info("generation %d: best %.2f, mean %.2f", generation, best_score, scores.mean())
    best_keys, best_seconds = split(best)
    return best_keys[0], best_seconds[0]


def _run(trials: Trials, keys: Floats, seconds: Floats, stand: bool, record: bool = False) -> Tried:
    if stand:
        keys = np.concatenate((keys, np.broadcast_to(np.array(STAND, float), (trials.count, 1, keys.shape[2]))), axis=1)
    return trials.run(keys, seconds, record)


def _run_one(trials: Trials, keys: Floats, seconds: Floats, stand: bool, record: bool = False) -> Tried:
    """All bodies do the same."""
    return _run(trials, np.tile(keys, (trials.count, 1, 1)), np.tile(seconds, (trials.count, 1)), stand, record)


def _lead_to_standing(trials: Trials, keys: Floats, seconds: Floats) -> tuple[Floats, Floats]:
    """Keep the keyframes up to the highest moment; what comes after leads from there to standing in equal steps."""
    height = _run_one(trials, keys, seconds, False).height[0]
    highest_s = (int(height.argmax()) + 1) * STEP_S
    kept = min(max(int(np.searchsorted(np.cumsum(seconds), highest_s)), 1), len(keys) - 2)
    shares = np.linspace(0.0, 1.0, len(keys) - kept + 2)[1:-1, None]
    log.info("the head is highest, %.2f, after %.1f s; %d keyframes are kept", float(height.max()), highest_s, kept)
    new = keys[kept - 1] * (1.0 - shares) + np.array(STAND, float) * shares
    return np.concatenate((keys[:kept], new)), np.append(seconds, SEGMENT_S)


def _clip(name: str, trials: Trials, found: Tried) -> Clip:
    """What the first body did until it had stood for a while."""
    robot = trials.sim.robot
    restless = int((found.still[0] < REACHED).nonzero()[:, 0].max())  # the last such step
    kept = found.qpos[: round((LIE_S + (restless + 1) * STEP_S + STOOD_S) * FPS)]
    return Clip(
        name=name, fps=float(FPS), joint_names=tuple(joint.name for joint in robot.joints),
        body_names=robot.body_names, root_pos_w=kept[:, :3].numpy(), root_quat_w=kept[:, 3:7].numpy(),
        joint_quat=joint_quat_from_qpos(robot, kept[:, 7:]).numpy(),
    )  # fmt: skip


def main() -> None:
    """Search and write the clip."""
    parser = argparse.ArgumentParser(prog="python -m isaachrl.motion.synthesis.rising", description=__doc__)
    parser.add_argument("pose", choices=sorted(POSES), help="what the body lies on")
    parser.add_argument("path", type=Path, help="where to write the clip (.npz)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generations", type=int, nargs=2, default=GENERATIONS, help="of the two parts of the search")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    clip = search(options.pose, options.seed, tuple(options.generations))
    clip.save(options.path)
    log.info("%s: %.1f s", options.path, clip.duration_s)


if __name__ == "__main__":
    main()
