"""What a continuation may have otherwise than the run that it continues."""

import logging
import shutil
from pathlib import Path

import pytest

from isaachrl.errors import CheckpointError, ConfigError
from isaachrl.run.storage.checkpoint import load_checkpoint


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)


@pytest.mark.parametrize("source", ["run", "run/checkpoints/last.pt"])
@pytest.mark.parametrize(
    ("key", "typed"),
    [
        ("train.learning_rate=0.1, not 0.2", {"train": {"learning_rate": 0.2}}),
        ("task.lengths=.., not .3.", {"task": {"lengths": [3]}}),
        ("train.size=small, not large", {"train": {"size": "large"}}),
    ],
)
def test_resume_with_changed_keys_needs_a_new_folder(launch, source, key, typed):
    launch(max_iterations=2, run_dir="run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    path = key.split("=")[0]
    start = f"task=Point checkpoint={source} for a new"
    message = f"made with {key}, .*; leave {path}= out, or type run_dir=FOLDER .* or {start}"
    for folder in ({}, {"run_dir": "run"}, {"run_dir": str(Path("run").resolve())}):
        with pytest.raises(CheckpointError, match=message):
            launch(resume=source, max_iterations=3, **folder, **typed)
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    launch(resume=source, max_iterations=3, run_dir="new", **typed)
    assert load_checkpoint(Path("new")).iteration == 3 and load_checkpoint(Path("run")).iteration == 2


def test_how_long_and_how_often_may_change(launch):
    launch(max_iterations=2, run_dir="run")
    launch(resume="run", max_iterations=3, save_every_s=7, video=False, cuda_graph="off", sim="mujoco")
    assert load_checkpoint(Path("run")).config["save_every_s"] == 7
    launch(resume="run", train={"max_iterations": 4})
    assert load_checkpoint(Path("run")).iteration == 4
    with pytest.raises(CheckpointError, match="seed=0, not 1") as caught:
        launch(resume="run", max_iterations=5, seed=1, run_dir="new")
    assert "run_dir=FOLDER" not in str(caught.value)  # it would not help


def test_a_file_that_has_moved_may_be_named_anew_and_another_one_may_not(launch):
    Path("skill.pt").write_text("a skill")
    launch(max_iterations=2, run_dir="run", skill="skill.pt")
    shutil.copy("skill.pt", "copy.pt")
    with pytest.raises(CheckpointError, match=r"task.skill=skill.pt, not copy.pt"):
        launch(resume="run", max_iterations=3, skill="copy.pt")
    Path("skill.pt").unlink()
    launch(resume="run", max_iterations=3, skill="copy.pt")


def test_a_continuation_does_not_replace_another_run(launch):
    for folder in ("a", "b"):
        launch(max_iterations=2, run_dir=folder)
    with pytest.raises(ConfigError, match="run_dir=b has a training already"):
        launch(resume="a", max_iterations=3, run_dir="b")
    assert load_checkpoint(Path("b")).iteration == 2


def test_what_is_being_done_is_said_before_it_takes_its_time(launch, monkeypatch, caplog):
    def build_env(*_):
        raise ConfigError("building")

    monkeypatch.setattr("isaachrl.run.commands.train.build_env", build_env)
    with caplog.at_level(logging.INFO, "isaachrl"), pytest.raises(ConfigError, match="building"):
        launch(max_iterations=1, num_envs=3)
    assert "Point: building 3 environments on cpu" in caplog.text
