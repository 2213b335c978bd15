"""The command `mode=play`: a video and stills of the deterministic policy, and a table of its episodes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from isaachrl.envs.env import Env, innermost
from isaachrl.errors import ConfigError, RenderError
from isaachrl.files import write_atomically
from isaachrl.run.build import build_policy
from isaachrl.run.commands.results import results_folder, write_summary
from isaachrl.run.config.run_cfg import PolicyKind, ViewKind
from isaachrl.run.config.settings import Settings
from isaachrl.run.recording.paintings import PictureRecorder, renders_itself
from isaachrl.run.recording.tables import cell, show
from isaachrl.run.recording.tracking import Tracker, require
from isaachrl.run.recording.video import Recorder
from isaachrl.run.rollout import Episodes, run_episodes, split_episodes
from isaachrl.sim.film import frame_rate
from isaachrl.view.recording import PageRecorder

log = logging.getLogger(__name__)

EPISODES = 3
VIDEO_LIMIT = 1800  # frames: a minute


def play(settings: Settings) -> dict[str, Any]:
    """Play a few episodes of a policy; without a checkpoint, show the motions that the task imitates."""
    track = settings.run.track.value
    require(track)
    html = settings.run.view is ViewKind.html
    if settings.run.view in (ViewKind.web, ViewKind.native):
        raise ConfigError(f"view={settings.run.view.value} is live; type mode=view, or view=html for a file")
    if settings.loaded is None and settings.run.policy is PolicyKind.trained and hasattr(settings.task_cfg, "motion"):
        if html:
            raise ConfigError("motions are not written to a page; type mode=view for a live one")
        from isaachrl.run.commands.motions import view_motions

        return view_motions(settings)
    count = settings.run.episodes if "episodes" in settings.typed else EPISODES
    num_envs, per_env = split_episodes(count, settings.run.num_envs or 1)
    env, policy, _ = build_policy(settings, num_envs, settings.evaluation_seed)
    results = results_folder(settings)
    folder = results.path
    log.info("%s: playing %d episode%s in %s", settings.task.name, count, "s" * (count > 1), folder)
    page = folder / "play.html"
    with paging(env, page) if html else filming(env, folder / "play.mp4", settings.run.video) as recorder:
        if recorder is None:
            episodes = run_episodes(env, policy, per_env)
        else:
            episodes = run_episodes(
                env,
                policy,
                per_env,
                on_step=lambda result: recorder.after_step(bool(result.done[0])),
                on_begin=lambda begins: recorder.begin() if begins[0] else None,
            )
    show(table(episodes))
    summary: dict[str, Any] = {"task": settings.task.name} | episodes.summary()
    made = not isinstance(recorder, PageRecorder | None) and recorder.writer.frames > 0
    summary |= {
        "video": str(folder / "play.mp4") if made else None,
        "sheet": str(folder / "play.jpg") if made else None,
    } | ({"page": str(page)} if html else {})
    if made and track != "none":
        # the configuration of the training, whose run this may be
        with Tracker(track, results, settings.loaded.config if settings.loaded else settings.plain()):
            pass  # at its end it takes the video
    write_summary(summary, folder / "play.json")
    return summary


@contextmanager
def filming(env: Env, path: Path, enabled: bool) -> Iterator[Recorder | PictureRecorder | None]:
    """Context with a recorder of environment 0; None if disabled or if rendering fails (the reason is logged).

    It also writes a sheet with stills of the episodes, a JPEG beside the video.
    """
    recorder: Recorder | PictureRecorder | None = None
    if enabled:
        try:
            recorder = (
                PictureRecorder(env, path, VIDEO_LIMIT) if renders_itself(env) else Recorder(env, path, VIDEO_LIMIT)
            )
        except RenderError as error:
            log.warning("no video: %s", error)
    if recorder is None:
        yield None
        return
    log.info("recording a video, which takes a minute or more without a GPU; video=false disables it")
    try:
        with recorder.writer:
            yield recorder
            recorder.finish()
    finally:
        recorder.close()
    log.info("%d frames in %s", recorder.writer.frames, path)
    sheet = recorder.stills.sheet()
    if sheet is not None:
        write_atomically(path.with_suffix(".jpg"), sheet)


@contextmanager
def paging(env: Env, path: Path) -> Iterator[PageRecorder]:
    """Context with a recorder of environment 0 that writes a page at the end.

    Raises:
        ConfigError: viser is not installed.
        RenderError: the task has no bodies.
    """
    recorder = PageRecorder(env, *frame_rate(innermost(env).step_s), VIDEO_LIMIT)
    try:
        yield recorder
        write_atomically(path, recorder.page().encode())
    finally:
        recorder.close()
    log.info("%d frames in %s (%.1f MB)", recorder.frames, path, path.stat().st_size / 1e6)


def table(episodes: Episodes, max_rows: int = 20) -> Table:
    """A row for each of the first episodes, and the means over all."""
    result = Table(title="episodes")
    names = ["return", "length", *episodes.metrics]
    for name in ("", *names):
        result.add_column(name, justify="right")
    columns = [episodes.returns, episodes.lengths, *episodes.metrics.values()]
    rows = list(zip(*(column.flatten().tolist() for column in columns), strict=True))
    for number, row in enumerate(rows[:max_rows], 1):
        result.add_row(str(number), *(cell(value) for value in row))
    summary = episodes.summary()
    means = [summary["return_mean"], summary["length_mean"], *(summary[name] for name in episodes.metrics)]
    result.add_row("mean", *(cell(value) for value in means), style="bold")
    return result
