"""`mode=import`: motions of foreign skeletons become clips of a robot, each with a verdict and a picture."""

import dataclasses
import functools
import itertools
import logging
import math
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.table import Table

from isaachrl import config
from isaachrl.errors import ClipError, ConfigError, RenderError
from isaachrl.files import write_atomically
from isaachrl.motion.cycle import find_cycle
from isaachrl.motion.library import MotionLibrary
from isaachrl.motion.source.read import motion_files, read_source
from isaachrl.motion.source.settle import SourceCfg
from isaachrl.motion.sources import FOLDER_LIST, LIST_SUFFIXES, Entry, motion_entries
from isaachrl.retarget.body import RobotBody, robot_body
from isaachrl.retarget.convert import Retargeted, load_solver, retarget
from isaachrl.retarget.measures import DOUBTFUL, IMITABLE, REFUSED
from isaachrl.run.commands.results import write_summary
from isaachrl.run.config.settings import Settings
from isaachrl.run.recording.beside import film, strip
from isaachrl.run.recording.tables import show
from isaachrl.run.storage.folder import RunFolder
from isaachrl.sim import load_robot

log = logging.getLogger(__name__)

Row = dict[str, Any]


def import_motions(settings: Settings) -> Row:
    """Import the file `motion`, or the motions of that folder or list, for the robot `robot`, into `run_dir`.

    What is imitable or doubtful is written there, to be used as `motion=run_dir`; what is refused into `refused/`. The
    weights of a list, and which of its clips only lead to others, go into `motions.yaml`.

    Raises:
        ConfigError: no `motion` was typed, mink is not installed, or the robot lacks a role.
        ClipError: a single file cannot be read, or its motion cannot be right; of several that is a row of the table.
    """
    load_solver()
    if not (settings.typed.get("task") or {}).get("motion"):
        raise ConfigError("mode=import needs a file or a folder: type motion=FILE")
    cfg = config.build(SourceCfg, settings.run.source, "source")
    entries = _entries(settings.task_cfg.motion)
    name = getattr(settings.task_cfg, "robot", "humanoid")
    body = robot_body(load_robot(name))
    folder = RunFolder(Path(settings.run.run_dir)) if settings.run.run_dir else RunFolder.fresh("import")
    rows: list[Row] = []
    for number, entry in enumerate(entries, 1):
        clip_name = _free_name(entry.file, {row["name"] for row in rows})
        heading = f"{number} of {len(entries)}: {entry.file.name}"
        try:
            of_file = _of_entry(cfg, entry)
            made = _import(entry.file, of_file, body, clip_name)
            log.info("%s: %s %s", heading, made.verdict, made.reason)  # before the pictures, which may take minutes
            rows.append(_write(made, body, folder.path, settings.run.video) | _cycle(made, body, of_file.start_s))
            if len(entries) == 1 and rows[0]["cycle_s"] and made.verdict != REFUSED:
                begin_s, end_s = rows[0]["cycle_s"]
                log.info(
                    "it repeats: a policy can track source.start_s=%.2f source.end_s=%.2f for ever", begin_s, end_s
                )
        except ClipError as error:
            if len(entries) == 1:
                raise
            rows.append({"name": clip_name, "clip": None, "verdict": REFUSED, "reason": str(error)})
            log.info("%s: %s %s", heading, REFUSED, error)
    _write_list(entries, rows, folder.path)
    show(_table(rows))
    words = (IMITABLE, DOUBTFUL, REFUSED)
    counts = {word: sum(row["verdict"] == word for row in rows) for word in words}
    summary = rows[0] if len(entries) == 1 else {"robot": name, "folder": str(folder.path), **counts, "clips": rows}
    write_summary(summary, folder.path / "import.json")
    return summary


def _entries(motion: str) -> list[Entry]:
    """The motion files of a path, a list, or the name of shipped motions."""
    path = Path(motion).expanduser()
    if path.exists() and path.suffix not in LIST_SUFFIXES and not (path / FOLDER_LIST).is_file():
        return [Entry(file) for file in motion_files(path)]
    return motion_entries(motion)


def _of_entry(cfg: SourceCfg, entry: Entry) -> SourceCfg:
    """What is known about an entry's file: of the part that was typed, the part that the entry asks for."""
    end_s = min(entry.end_s, math.inf if cfg.end_s is None else cfg.end_s)
    start_s = max(entry.start_s, cfg.start_s)
    return dataclasses.replace(cfg, start_s=start_s, end_s=end_s if end_s < math.inf else None)


def _write_list(entries: list[Entry], rows: list[Row], folder: Path) -> None:
    """Keep what a list says of its clips; nothing where it says nothing, and the folder has no list yet."""
    listed = folder / FOLDER_LIST
    if not listed.is_file() and all((entry.weight, entry.command) == (1.0, True) for entry in entries):
        return
    before = motion_entries(str(listed)) if listed.is_file() else []
    made = {
        Path(row["clip"]).name: (entry.weight, entry.command)
        for entry, row in zip(entries, rows, strict=True)
        if row["verdict"] != REFUSED
    }
    said = {entry.file.name: (entry.weight, entry.command) for entry in before} | made
    clips = [{"file": file, "weight": weight, "command": command} for file, (weight, command) in said.items()]
    write_atomically(listed, yaml.safe_dump({"clips": clips}, sort_keys=False).encode())


def _free_name(file: Path, taken: set[str]) -> str:
    """A clip's name: its file's, with a number if that is taken."""
    names = itertools.chain([file.stem], (f"{file.stem}_{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


def _import(file: Path, cfg: SourceCfg, body: RobotBody, name: str) -> Retargeted:
    """Read and retarget a file."""
    robot = functools.partial(load_robot, cfg.robot) if cfg.robot else lambda: body.robot
    source = dataclasses.replace(read_source(file, cfg, robot), name=name)
    for note in source.notes:
        log.info("%s: %s", file.name, note)
    return retarget(source, body, cfg.clip_fps)


def _cycle(made: Retargeted, body: RobotBody, start_s: float) -> Row:
    """Where the motion repeats, in s of the file from whose `start_s` on it was read."""
    found = find_cycle(MotionLibrary([made.clip], body.robot, torch.device("cpu")), 0)
    return {"cycle_s": found and [round(start_s + time_s, 2) for time_s in found]}


def _write(made: Retargeted, body: RobotBody, folder: Path, video: bool) -> Row:
    """Write the clip and its pictures; returns its row."""
    place = RunFolder(folder / "refused").path if made.verdict == REFUSED else folder
    path = place / f"{made.clip.name}.npz"
    made.clip.save(path)
    pictures: dict[str, str | None] = {"sheet": None, "video": None}
    try:
        write_atomically(path.with_suffix(".png"), strip(made, body))
        pictures["sheet"] = str(path.with_suffix(".png"))
        if video:
            film(made, body, path.with_suffix(".mp4"))
            pictures["video"] = str(path.with_suffix(".mp4"))
    except RenderError as error:
        log.warning("no pictures: %s", error)
    row = {"name": made.clip.name, "clip": str(path), "verdict": made.verdict, "reason": made.reason}
    return row | dataclasses.asdict(made.measures) | pictures | {"notes": list(made.source.notes)}


def _table(rows: list[Row]) -> Table:
    """A row for each motion."""
    result = Table(title="imported")
    result.add_column("clip", no_wrap=True)
    heads = ("s", "verdict", "slip cm", "below floor cm", "margin rad", "rad/s", "key bodies cm", "reason")
    for head in heads:
        result.add_column(head, justify="left" if head in ("verdict", "reason") else "right")
    for row in rows:
        if row["clip"] is None:
            result.add_row(row["name"], "", row["verdict"], *[""] * 5, row["reason"])
            continue
        result.add_row(
            row["name"], f"{row['seconds']:.1f}", row["verdict"], f"{100 * row['slip_m']:.1f}",
            f"{100 * row['penetration_m']:.1f}", f"{row['margin_rad']:.2f}", f"{row['peak_speed_rad_s']:.1f}",
            f"{100 * row['key_body_error_m']:.1f}", row["reason"],
        )  # fmt: skip
    return result
