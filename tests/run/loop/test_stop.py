"""Signals: what ends at once, what ends in order, and with which exit code."""

import os
import runpy
import signal
from pathlib import Path

import pytest

from isaachrl.learn import distributed
from isaachrl.run import dispatch as commands
from isaachrl.run.loop import stop
from isaachrl.run.loop.stop import Interrupted, Stop
from isaachrl.run.process import guarded
from isaachrl.run.storage.checkpoint import load_checkpoint
from tests.run import point

VALUES = {"task": {"name": "Point"}, "train": {"name": "greedy"}, "num_envs": 4, "device": "cpu", "run_dir": "run"}


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    """SIGHUP as under a terminal, also where the tests themselves run under nohup; no pictures."""
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def receive(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.fixture
def handlers():
    """All is as before when a test ends."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    yield
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def ends_with(code, function):
    with pytest.raises(SystemExit) as caught:
        guarded(function)
    assert caught.value.code == code


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_training_is_saved_and_ends_the_program_with_the_signal(monkeypatch, caplog, number):
    original = point.Greedy.iterate

    def iterate(self):
        if self.iteration == 2:
            receive(number)
        return original(self)

    monkeypatch.setattr(point.Greedy, "iterate", iterate)
    caplog.set_level("INFO", "isaachrl")
    monkeypatch.setattr("isaachrl.run.dispatch.set_up_logging", lambda quiet: None)
    ends_with(128 + number, lambda: commands.run(VALUES))
    assert load_checkpoint(Path("run")).iteration == 3
    assert caplog.messages[-1] == "stopped after iteration 3; continue with: resume=run"


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_the_first_iteration_a_signal_ends_the_program_at_once(monkeypatch, capsys, number):
    monkeypatch.setattr("isaachrl.run.commands.train.build_learner", lambda *_: receive(number))
    ends_with(128 + number, lambda: commands.run(VALUES))
    assert capsys.readouterr().err.endswith("\ninterrupted\n")
    assert not Path("run").exists()


@pytest.mark.usefixtures("handlers")
def test_a_signal_in_the_last_iteration_does_not_make_a_complete_training_a_stopped_one(monkeypatch):
    original = point.Greedy.iterate

    def iterate(self):
        if self.iteration == 5:
            receive(signal.SIGTERM)
        return original(self)

    monkeypatch.setattr(point.Greedy, "iterate", iterate)
    assert commands.run(VALUES) == Path("run")
    assert load_checkpoint(Path("run")).iteration == 6


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_training_at_once(number):
    stop = Stop()
    with pytest.raises(Interrupted) as caught, stop.watching(graceful=True):
        receive(signal.SIGTERM, signal.SIGHUP)
        assert stop.signal_number == signal.SIGTERM
        receive(number)
    assert caught.value.signal_number == number


@pytest.mark.usefixtures("handlers")
def test_a_signal_forwarded_by_torchrun_counts_once(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 2)
    stop = Stop()
    with stop.watching(), stop.watching(graceful=True):
        receive(signal.SIGINT, signal.SIGINT, signal.SIGTERM)
    assert stop.signal_number == signal.SIGINT


def test_on_windows_a_closing_console_is_what_a_closing_terminal_is(monkeypatch):
    with monkeypatch.context() as windows:
        windows.delattr(signal, "SIGHUP")
        windows.setattr(signal, "SIGBREAK", 21, raising=False)
        assert runpy.run_path(stop.__file__)["_HANGUP"] == 21
        windows.delattr(signal, "SIGBREAK")
        assert runpy.run_path(stop.__file__)["_HANGUP"] is None
