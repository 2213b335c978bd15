"""Which viewer is chosen, and what is refused."""

import signal

import pytest

from isaachrl.errors import ConfigError
from isaachrl.run.commands import view
from isaachrl.run.config.run_cfg import ViewKind
from isaachrl.run.loop.stop import Stop
from isaachrl.sim import window


@pytest.fixture
def display(monkeypatch):
    def set_display(present):
        monkeypatch.setattr(view, "has_display", lambda: present)

    return set_display


def test_a_window_where_there_is_a_display(display, monkeypatch):
    display(True)
    monkeypatch.setattr(view.sys, "platform", "linux")
    assert view.chosen_view(ViewKind.auto) is ViewKind.native and view.chosen_view(ViewKind.web) is ViewKind.web
    monkeypatch.setattr(view.sys, "platform", "darwin")
    assert view.chosen_view(ViewKind.auto) is ViewKind.web, "Python itself opens no window there"
    display(False)
    assert view.chosen_view(ViewKind.auto) is ViewKind.web


def test_no_window_without_a_display(display):
    display(False)
    with pytest.raises(ConfigError, match="view=native needs a display.*type view=web"):
        view.chosen_view(ViewKind.native)


def test_a_display_is_named_on_linux_alone(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for platform, present in (("linux", False), ("darwin", True), ("win32", True)):
        monkeypatch.setattr(window.sys, "platform", platform)
        assert window.has_display() is present
    monkeypatch.setattr(window.sys, "platform", "linux")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert window.has_display()


def test_files_and_live_viewers_are_told_apart(display, launch):
    display(False)
    with pytest.raises(ConfigError, match="type mode=play view=html"):
        launch(mode="view", view="html")
    with pytest.raises(ConfigError, match="view=web is live; type mode=view, or view=html"):
        launch(mode="play", view="web", policy="random")


def test_a_task_without_bodies_has_nothing_to_view(display, launch):
    display(False)
    with pytest.raises(ConfigError, match="task=Point has no bodies"):
        launch(mode="view", policy="random")


def test_ctrl_c_ends_a_viewer_between_two_frames(monkeypatch):
    seen, stop = [], Stop()

    def show(settings, stopped):
        seen.append(stopped())
        signal.raise_signal(signal.SIGINT)
        seen.append(stopped())

    monkeypatch.setattr(view, "_view", show)
    view.view(None, stop)
    assert seen == [False, True] and stop.signal_number == signal.SIGINT
