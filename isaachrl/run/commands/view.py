"""The command `mode=view`: a live viewer of a policy, or of the motions that a task imitates."""

import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

from isaachrl.errors import ConfigError
from isaachrl.run.build import build_policy
from isaachrl.run.config.run_cfg import PolicyKind, ViewKind
from isaachrl.run.config.settings import Settings
from isaachrl.run.loop.stop import Stop
from isaachrl.sim.window import has_display
from isaachrl.view.session import Session


def view(settings: Settings, stop: Stop | None = None) -> dict[str, Any]:
    """Show the policy, or without a checkpoint the motions, until Ctrl-C or until the window is closed."""
    stop = stop or Stop()
    # a handler that raises could do so inside of a library that drops exceptions
    with stop.watching(graceful=True, when="the viewer"):
        return _view(settings, lambda: stop.signal_number != 0)


def _view(settings: Settings, stopped: Callable[[], bool]) -> dict[str, Any]:
    """Show what `settings` name until `stopped()`."""
    kind = chosen_view(settings.run.view)
    if settings.loaded is None and settings.run.policy is PolicyKind.trained and hasattr(settings.task_cfg, "motion"):
        return _view_motions(settings, kind, stopped)
    env, policy, _ = build_policy(settings, settings.run.num_envs or 1, settings.evaluation_seed)
    session = Session(env, policy)
    title = f"{settings.task.name} · {settings.run.checkpoint or settings.run.policy.value}"
    try:
        if kind is ViewKind.native:
            from isaachrl.view.native import run_native

            run_native(session, stopped)
        else:
            from isaachrl.view.web import WebView

            with closing(WebView(session, settings.run.port, title)) as page:
                page.run(stopped)
    finally:
        session.close()
    return {"task": settings.task.name, "time_s": session.time_s, "episodes": session.episodes}


def chosen_view(kind: ViewKind) -> ViewKind:
    """The viewer that `view=` asks for: by default a window where there is a display, else a page.

    Raises:
        ConfigError: a window without a display, or a file, which is no live viewer.
    """
    if kind is ViewKind.html:
        raise ConfigError("view=html writes a file with recorded episodes; type mode=play view=html")
    display = has_display()
    if kind is ViewKind.native and not display:
        raise ConfigError(
            "view=native needs a display, and there is none here (DISPLAY and WAYLAND_DISPLAY are empty); type view=web"
            " for a page in the browser"
        )
    if kind is ViewKind.auto:  # on macOS only MuJoCo's launcher mjpython can open a window
        return ViewKind.native if display and sys.platform != "darwin" else ViewKind.web
    return kind


def _view_motions(settings: Settings, kind: ViewKind, stopped: Callable[[], bool]) -> dict[str, Any]:
    """Show the clips of `task.motion` in the browser."""
    from isaachrl.motion.sources import load_motion
    from isaachrl.sim import load_robot
    from isaachrl.view.motions import MotionView

    if settings.run.view is ViewKind.native:
        raise ConfigError("motions are shown in the browser alone; type view=web")
    robot = load_robot(getattr(settings.task_cfg, "robot", "humanoid"))
    clips, _ = load_motion(settings.task_cfg.motion, robot)
    with closing(MotionView(clips, robot, settings.run.port)) as page:
        page.run(stopped)
    return {"task": settings.task.name, "clips": [clip.name for clip in clips]}
