"""What a suite types: real commands in this process, and processes that are stopped."""

import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

import isaachrl.learn.ppo
from isaachrl import shipped
from isaachrl.errors import IsaacHRLError
from isaachrl.run import dispatch, main
from isaachrl.run.config import cli
from isaachrl.run.suite import __main__ as command
from isaachrl.run.suite import runner
from tests.tiny_skill import make_tiny_skill

assert isaachrl.learn.ppo and main  # it tells Hydra of the tasks
CFG = str(shipped.CFG)
TINY = [
    "skill=tiny.pt", "num_envs=2", "max_iterations=1", "task.episode_steps=8", "task.hierarchy.steps=2",
    "train.horizon=8", "train.minibatch=16", "train.hidden=[8]", "task.start_motion=stand",
]  # fmt: skip


def type_in(arguments, folder):
    """`train.py` in this process, without films."""
    if "mode=play" in arguments:
        (folder / "play.json").write_text("{}")
        return ""
    words = cli.hydra_arguments([*arguments, "device=cpu"], Path(CFG))
    with hydra.initialize_config_dir(CFG, version_base="1.3"):
        composed = OmegaConf.to_container(hydra.compose("config", words), resolve=True)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        dispatch.run(composed, words)
    return output.getvalue()


def test_a_task_and_its_baselines_are_trained_by_commands_that_exist(tmp_path):
    make_tiny_skill().save(tmp_path / "tiny.pt")
    listed = {"HumanoidTrajectory": {"flat": 1, "measure": "path_error_m", "max_score": 8.0, "settings": TINY}}
    Path("list.yaml").write_text(yaml.safe_dump({"episodes": 2, "tasks": listed}))
    words = ["out=a folder", "list=list.yaml", "seeds=1", "parallel=1"]
    table = command.suite(words, type_in)
    values = json.loads(Path("a folder/suite.json").read_text())["tasks"]["HumanoidTrajectory"]
    assert values["mean"]["control_steps"] == values["flat_mean"]["control_steps"] == 2 * 8 * 2
    for result in (values["mean"], values["random"], values["flat_mean"]):
        assert 0.0 < result["score"] <= 8.0 and result["fall_rate"] <= 1.0 and result["path_error_m"] > 0.0
    assert values["random"]["evaluation"]["policy"] == "random"
    assert len(table.splitlines()) == 5 and Path("a folder/suite.png").stat().st_size > 1000

    def nothing_is_left(arguments, folder):
        raise AssertionError(arguments)

    assert command.suite(words, nothing_is_left) == table


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program in place of `train.py`: it prints its argument, fails, or waits for a signal that it obeys."""
    path = tmp_path / "program.py"
    path.write_text(
        "import os, signal, sys, time\n"
        "if 'fail' in sys.argv: sys.exit('ConfigError: nothing fits')\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))\n"
        "if 'wait=1' in sys.argv:\n"
        "    print('waiting', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "print(sys.argv[1], os.environ.get('OMP_NUM_THREADS'))\n"
    )
    monkeypatch.setattr(runner, "COMMAND", [sys.executable, str(path)])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_a_process_is_answered_by_its_output_or_its_last_words(program, tmp_path):
    call = runner.TrainPy(threads=1)
    assert call(["hello"], tmp_path) == "hello 1\n"
    assert runner.TrainPy(threads=None)(["hello"], tmp_path) == "hello None\n"
    with pytest.raises(IsaacHRLError, match="fail ended with code 1: ConfigError: nothing fits; see .*log.txt"):
        call(["fail"], tmp_path)


def test_a_signal_ends_the_processes_and_the_suite(program, tmp_path):
    Path("list.yaml").write_text(yaml.safe_dump({"tasks": {"HumanoidLocation": {"settings": ["wait=1"]}}}))
    log = tmp_path / "out" / "runs" / "HumanoidLocation" / "seed0" / runner.LOG

    def interrupt():
        while not log.is_file() or "waiting" not in log.read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)  # to the process, whose main thread waits

    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        command.suite(["out=out", "list=list.yaml", "parallel=1"])
    assert time.monotonic() - start < 30.0, "the process obeyed instead of sleeping on"
    assert json.loads(Path("out/suite.json").read_text())["tasks"]["HumanoidLocation"]["seeds"] == {}
