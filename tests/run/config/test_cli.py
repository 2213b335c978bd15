"""`train.py` as a process: clean messages, exit codes, and Hydra's own switches."""

import os
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tasks  # noqa: F401 - registers what task= selects
from isaachrl import config
from isaachrl.envs import registry
from isaachrl.errors import ConfigError
from isaachrl.run.config.cli import hydra_arguments, show_help, task_modules
from isaachrl.run.config.run_cfg import RunCfg
from isaachrl.run.demo import arguments
from isaachrl.run.process import guarded

ROOT = Path(__file__).resolve().parents[3]


def train(*argv, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *argv], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_bad_input_is_one_message_and_exit_code_2(tmp_path):
    done = train("task=HumanoidAMP", "nun_envs=4", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("ConfigError: unknown key nun_envs; did you mean num_envs?")
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
    done = train("task=TaxiFuel,AntMaze", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("ConfigError: task=TaxiFuel,AntMaze: several values")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []  # no folders of Hydra's, no run


def test_help_and_composition_are_shown(tmp_path):
    done = train("task=HumanoidHRLMaze", "seed=3", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0
    assert "name: HumanoidHRLMaze" in done.stdout and "name: ppo" in done.stdout and "seed: 3" in done.stdout


def test_help_lists_what_can_be_typed_and_then_the_keys_of_a_task(tmp_path, capsys):
    with pytest.raises(SystemExit):
        show_help(["--help"], ROOT / "cfg")
    brief = capsys.readouterr().out
    assert "task: AntFall, " in brief and "hiro, hpg" in brief and "_goals" not in brief
    done = train("task=AntMaze", "train=hiro", "device=cpu", "train.worker.batch=64", "-h", cwd=tmp_path)
    assert done.returncode == 0 and brief[brief.index("Keys (") : brief.index("With task=")] in done.stdout
    lines = done.stdout.splitlines()
    found = ("task.integrator=rk4", "train.worker.hidden=[128,128]", "train.worker.batch=64", "num_envs=128")
    assert set(found) <= set(lines) and "train.stagger=true" in lines
    # what is listed can be typed
    settings = [line for line in lines[lines.index("# the task AntMaze") :] if line and line[0] != "#"]
    again = train("task=AntMaze", "train=hiro", *settings, "--help", cwd=tmp_path)
    assert again.stdout == done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "typed", [["train=hiro"], ["task=FourRooms", "--cfg", "job"], ["-m", "task=FourRooms,TaxiFuel"], []]
)
def test_help_that_names_no_one_run_is_the_brief_one(capsys, typed):
    with pytest.raises(SystemExit) as stop:
        show_help([*typed, "--help"], ROOT / "cfg")
    assert stop.value.code == 0 and "With task=NAME, --help lists" in capsys.readouterr().out


def test_help_leaves_the_mode_as_it_was_typed(capsys):
    assert show_help(["task=TaxiFuel", "mode=play"], ROOT / "cfg") == ["task=TaxiFuel", "mode=play"]
    own = ["--config-dir", "my", "task=TaxiFuel"]
    assert show_help([*own, "--help"], ROOT / "cfg") == [*own, "help=true"]
    assert show_help(["-h", "checkpoint=RUN", "mode=play"], ROOT / "cfg") == [
        "checkpoint=RUN",
        "mode=play",
        "help=true",
    ]
    capsys.readouterr()


@pytest.mark.parametrize(
    "typed, meant",
    [("--max_iterations", "max_iterations=VALUE"), ("--max-iterations=2", "max_iterations=2"), ("-seed=3", "seed=3")],
)
def test_settings_typed_as_options_are_refused_with_what_to_type(typed, meant):
    with pytest.raises(ConfigError, match=f"is not an option; settings have no dashes: type {meant}$"):
        hydra_arguments(["task=HumanoidAMP", typed], ROOT / "cfg")
    assert hydra_arguments(["-m", "--cfg", "job"], ROOT / "cfg") == ["-m", "--cfg", "job"]


def test_guarded_turns_our_errors_into_exit_codes(capsys):
    def fail(message):
        raise ConfigError(message)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        guarded(fail, "type this")
    assert stop.value.code == 2 and capsys.readouterr().err == "ConfigError: type this\n"
    with pytest.raises(SystemExit) as stop:
        guarded(interrupt)
    assert stop.value.code == 130
    assert guarded(max, 1, 2) == 2 and capsys.readouterr().err == "interrupted\n"
    with pytest.raises(SystemExit) as stop:  # a fault of the program is not dressed up as one of the input
        guarded(lambda: 1 / 0)
    said = capsys.readouterr().err.splitlines()
    assert stop.value.code == 1 and said[0].startswith("Traceback") and said[-2].startswith("ZeroDivisionError")
    line = str(Path(__file__).read_text(encoding="utf-8").splitlines().index("        guarded(lambda: 1 / 0)") + 1)
    begin = f"If {__file__} is yours, look at its line {line}; else this is a bug in isaachrl, not in what you typed: "
    assert said[-1].startswith(begin)
    with pytest.raises(SystemExit):
        guarded(re.compile, 1)  # no file of a user's took part
    assert "\nThis is a bug in isaachrl" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 8.00 TiB"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes."),
        RuntimeError("Failed to allocate 8 bytes on device 'cuda:0'"),
        ValueError("Could not allocate memory"),
        RuntimeError("Storage size calculation overflowed with sizes=[100000000000000001, 11, 30]"),
    ],
)
def test_a_lack_of_memory_names_the_keys_to_lower(capsys, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(sys, "argv", ["train.py", "run_dir=r/20000", "++num_envs=20000", "train.hidden=[9000,4]"])
    with pytest.raises(SystemExit) as stop:
        guarded(fail)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    assert "there is not enough memory" in said and "lower num_envs=20000, train.hidden=[9000,4], or other keys" in said
    assert "4294967296" not in str(error) or "(allocating 4 GiB failed)" in said


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("could not convert")])
def test_other_errors_are_no_lack_of_memory(capsys, error):
    def fail():
        raise error

    with pytest.raises(SystemExit) as stop:
        guarded(fail)
    assert stop.value.code == 1 and "memory" not in capsys.readouterr().err


def test_a_closed_output_pipe_ends_silently(capsys, monkeypatch):
    reading, writing = os.pipe()
    with open(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as stop:  # of another pipe, such as to an encoder of videos
            guarded(os.write, broken_pipe(), b"x")
        assert stop.value.code == 1
        capsys.readouterr()
        os.close(reading)
        with pytest.raises(SystemExit) as stop:
            guarded(output.write, "x" * 100)  # waits in a buffer until the end
        assert stop.value.code == 141 and capsys.readouterr().err == ""


def test_without_poll_what_is_buffered_shows_a_closed_pipe(capsys, monkeypatch):
    monkeypatch.delattr(select, "poll")  # Windows has none
    reading, writing = os.pipe()
    with open(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as stop:  # of another pipe
            guarded(os.write, broken_pipe(), b"x")
        assert stop.value.code == 1
        capsys.readouterr()
        os.close(reading)
        with pytest.raises(SystemExit) as stop:
            guarded(output.write, "x" * 100)
        assert stop.value.code == 141 and capsys.readouterr().err == ""


def broken_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def test_demo_takes_its_budgets_from_the_command_line():
    options = arguments(["--skill-iterations", "2", "--maze-envs", "16", "device=cpu"])
    assert (options.skill_iterations, options.maze_envs, options.settings) == (2, 16, ["device=cpu"])
    assert options.skill.is_file() and not options.own_skill


@pytest.mark.parametrize("argv", [["num_envs=4", "num_envs=8"], ["task=AntMaze", "seed=1", "task=AntPush"]])
def test_a_key_with_two_values_is_refused(argv):
    key, first, second = argv[0].split("=")[0], argv[0].split("=")[1], argv[-1].split("=")[1]
    with pytest.raises(ConfigError, match=f"{key} is given twice, as {first} and as {second}"):
        hydra_arguments(argv, ROOT / "cfg")


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("headless=True", "training opens no window, so leave it out"),
        ("sim_device=cuda:0", "type device=cuda:0"),
        ("rl_device=cpu", "type device=cpu"),
        ("pipeline=gpu", "type device=cpu or device=cuda:0"),
        ("experiment=first", "type run_dir=runs/first"),
        ("force_render=True", "type mode=view checkpoint=RUN to watch one"),
        ("num_threads=2", "type OMP_NUM_THREADS=2 before the command for PyTorch's threads"),
        ("wandb_activate=True", "type track=wandb"),
    ],
)
def test_keys_of_isaac_gym_are_answered_with_what_to_type(typed, advice):
    key, _, value = typed.partition("=")
    with pytest.raises(ConfigError, match=f"^{typed}: .*{advice}$"):
        config.build(RunCfg, {key: value})
    for flag in (f"--{typed}", f"--{typed.replace('_', '-')}"):
        with pytest.raises(ConfigError, match=f"^{flag}: .*{advice}$"):
            hydra_arguments([flag], ROOT / "cfg")


def test_test_checkpoint_and_max_iterations_are_understood():
    run = config.build(RunCfg, {"test": True, "checkpoint": "mazes", "max_iterations": 100})
    assert run.test and run.checkpoint == "mazes" and run.max_iterations == 100
    assert set(RunCfg.FOREIGN).isdisjoint(vars(run))


@pytest.mark.parametrize(
    ("typed", "modules"), [("tasks=mine", ["mine"]), ("tasks=a,b.c", ["a", "b.c"]), ("+tasks=[a, b]", ["a", "b"])]
)
def test_modules_of_tasks_are_a_list(typed, modules):
    assert task_modules(["task=Mine", typed]) == modules and task_modules(["task=Mine"]) == []
    if not typed.startswith("+"):
        assert hydra_arguments([typed], ROOT / "cfg") == [f"++tasks=[{','.join(modules)}]"]


@pytest.mark.parametrize("flag", [["--config-dir", "own"], ["-cd", "own"], ["--config-dir=own"]])
def test_files_of_the_users_own_folder_can_be_typed(flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for group, name in (("task", "Longer"), ("train", "mine")):
        (tmp_path / "own" / group).mkdir(parents=True)
        (tmp_path / "own" / group / f"{name}.yaml").touch()
    words = ["task=Longer", "train=mine"]
    assert hydra_arguments([*flag, *words], ROOT / "cfg") == [*words, *flag]
    with pytest.raises(ConfigError, match="unknown train 'mien'; did you mean mine"):
        hydra_arguments([*flag, "task=Longer", "train=mien"], ROOT / "cfg")
    with pytest.raises(ConfigError, match=r"unknown task 'Longr'; did you mean Longer.* type tasks=MODULE, too$"):
        hydra_arguments([*flag, "task=Longr"], ROOT / "cfg")
    with pytest.raises(ConfigError, match="unknown task 'Longer'"):
        hydra_arguments(words, ROOT / "cfg")
    with pytest.raises(SystemExit):
        show_help([*flag, "--help"], ROOT / "cfg")
    assert "Longer" in capsys.readouterr().out


def test_a_registered_task_needs_no_file(monkeypatch):
    monkeypatch.setattr(registry, "_ENTRIES", registry._ENTRIES | {"Mine": registry.entry("AntMaze")})
    assert hydra_arguments(["task=Mine", "train=ppo"], ROOT / "cfg") == ["task=Mine", "train=ppo"]
    with pytest.raises(ConfigError, match="Mine has no learner of its own .* type train=ppo") as error:
        hydra_arguments(["task=Mine"], ROOT / "cfg")
    assert "hiro, hpg" in str(error.value) and "HumanoidAMP" not in str(error.value)


def test_a_key_may_be_repeated_with_one_value():
    assert hydra_arguments(["seed=1", "seed=1"], ROOT / "cfg") == ["++seed=1", "++seed=1"]
