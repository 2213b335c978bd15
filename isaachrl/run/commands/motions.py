"""`mode=play` without a checkpoint: a video and stills of the reference motions of a task, and their checks."""

import contextlib
import dataclasses
import io
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.table import Table

from isaachrl.errors import RenderError
from isaachrl.files import write_atomically
from isaachrl.motion.checks import ClipChecks, check_clip
from isaachrl.motion.clip import Clip
from isaachrl.motion.library import MotionLibrary, to_qpos_qvel
from isaachrl.motion.sources import load_motion
from isaachrl.run.commands.results import write_summary
from isaachrl.run.config.settings import Settings
from isaachrl.run.recording.tables import show
from isaachrl.run.storage.folder import RunFolder
from isaachrl.sim import Robot, Scene, load_robot
from isaachrl.sim.cameras import ChaseCamera, camera_scale
from isaachrl.sim.film import Film, Stage
from isaachrl.sim.render import SceneRenderer
from isaachrl.sim.soles import robot_soles

log = logging.getLogger(__name__)

FPS = 30
VIDEO_S = 30.0  # of all clips together
CLIP_S = (2.0, 8.0)  # bounds for one clip
STILLS = 12  # of a clip
STILL_SIZE, LABEL_PX, DPI = (80, 120), 140, 100


def view_motions(settings: Settings) -> dict[str, Any]:
    """Film the clips of `task.motion`, without physics, and print their checks."""
    robot = load_robot(getattr(settings.task_cfg, "robot", "humanoid"))
    clips, _ = load_motion(settings.task_cfg.motion, robot)
    folder = RunFolder(Path(settings.run.run_dir)) if settings.run.run_dir else RunFolder.fresh(settings.task.name)
    video = folder.path / "motions.mp4"
    filmed = settings.run.video and _film(clips, robot, video)
    soles = robot_soles(robot)
    checks = {clip.name: check_clip(clip, robot, soles) for clip in clips}
    show(_table(checks))
    stills = folder.path / "motions.png"
    if filmed:
        write_atomically(stills, _sheet(clips, robot))
    summary: dict[str, Any] = {
        "task": settings.task.name,
        "clips": {name: dataclasses.asdict(measured) for name, measured in checks.items()},
        "video": str(video) if filmed else None,
        "sheet": str(stills) if filmed else None,
    }
    write_summary(summary, folder.path / "motions.json")
    return summary


def _film(clips: list[Clip], robot: Robot, path: Path) -> bool:
    """Film every clip; returns whether rendering works."""
    try:
        stage = Stage(Scene(robot=robot.file))
    except RenderError as error:
        log.warning("no video: %s", error)
        return False
    library = MotionLibrary(clips, robot, "cpu")
    log.info("recording %s, which takes a minute or more without a GPU; video=false disables it", path)
    limit = min(max(VIDEO_S / len(clips), CLIP_S[0]), CLIP_S[1])
    film = Film(stage, path, Fraction(FPS))
    with contextlib.closing(film), film.writer:
        for index, clip in enumerate(clips):
            film.cut()
            seconds = min(clip.duration_s * (2.0 if clip.loop else 1.0), limit)  # twice, to show the seam
            times = torch.arange(0.0, seconds, 1.0 / FPS)
            qpos, _ = to_qpos_qvel(robot, library.state(torch.full(times.shape, index), times))
            for row in qpos.numpy():
                film.add(row, row[:0].reshape(0, 3))
        film.finish()
    log.info("%d clips in %s", len(clips), path)
    return True


def _sheet(clips: list[Clip], robot: Robot) -> bytes:
    """A row of evenly spaced stills for each clip, from the side; as PNG."""
    width, height = STILL_SIZE
    library = MotionLibrary(clips, robot, "cpu")
    figure = Figure(figsize=((LABEL_PX + STILLS * width) / DPI, len(clips) * height / DPI), dpi=DPI)
    with contextlib.closing(SceneRenderer(Scene(robot=robot.file), width, height)) as renderer:
        for row, clip in enumerate(clips):
            camera = ChaseCamera(3.0, -8.0, side_deg=80.0, lag=0.0, size=camera_scale(robot))
            times = torch.linspace(0.0, clip.duration_s, STILLS + 1)[:-1]
            qpos, _ = to_qpos_qvel(robot, library.state(torch.full(times.shape, row), times))
            frames = [renderer.frame(pose, np.zeros((0, 3)), camera) for pose in qpos.numpy()]
            left, top = LABEL_PX / (LABEL_PX + STILLS * width), 1.0 - row / len(clips)
            axes = figure.add_axes((left, top - 1.0 / len(clips), 1.0 - left, 1.0 / len(clips)))
            axes.imshow(np.concatenate(frames, axis=1), aspect="auto")
            axes.axis("off")
            figure.text(0.9 * left, top - 0.5 / len(clips), clip.name, ha="right", va="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _table(checks: dict[str, ClipChecks]) -> Table:
    """A row for each clip, a column for each measure."""
    result = Table(title="motions")
    headers = (
        "speed m/s",
        "turn rad/s",
        "slip cm",
        "below floor mm",
        "joint margin deg",
        "knee deg",
        "seam rad",
        "rad/s",
    )
    result.add_column("clip", no_wrap=True)
    result.add_column("s", justify="right")
    for name in headers:
        result.add_column(name, justify="right")
    for clip, one in checks.items():
        result.add_row(
            clip, f"{one.length_s:.2f}", f"{one.forward_m_s if one.forward_m_s < -0.1 else one.speed_m_s:.2f}",
            f"{one.turn_rad_s:.2f}", f"{one.slip_cm:.2f}", f"{one.penetration_mm:.1f}",
            f"{one.margin_deg:.1f} ({one.margin_dof})", "{:.0f} to {:.0f}".format(*one.knee_deg),
            f"{one.seam_rad:.0e}", f"{one.peak_speed_rad_s:.1f}",
        )  # fmt: skip
    return result
