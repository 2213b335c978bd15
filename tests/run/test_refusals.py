"""What cannot be run is refused in one line with exit code 2, whatever stands on the command line."""

import re
import sys

import pytest

from isaachrl import memory
from isaachrl.envs import world_bytes
from isaachrl.run import main
from isaachrl.run.config import learners, settings

MAZE = "task=HumanoidHRLMaze"
TAXI = "task=TaxiFuel"
AMP = "task=HumanoidAMP"
REFUSED = {
    # what Hydra's grammar or its composition does not allow
    (TAXI + ",AntMaze",): "several values are several runs; type --multirun task=TaxiFuel,AntMaze for those",
    (TAXI, "seed=1,2"): "type --multirun seed=1,2 for those, seed=.1,2. for a list, or \"seed='1,2'\" for a text",
    (TAXI, "num_envs==5"): "num_envs==5 cannot be parsed: .*; type \"num_envs='5'\"",
    (TAXI, "num_envs=["): "num_envs=. cannot be parsed: close every bracket and quote",
    (TAXI, 'num_envs="'): 'num_envs=" cannot be parsed: .*; type num_envs=VALUE',
    (TAXI, "task.fuel={a"): "task.fuel={a cannot be parsed",
    (TAXI, "päth=1"): "'päth' is not the name of a setting",
    (TAXI, "~nothing"): "the configuration cannot be composed .*'nothing' does not exist",
    (TAXI, "hydra.nothing=1"): "the configuration cannot be composed",
    (TAXI, "--config-name=nothing"): "the configuration cannot be composed",
    (TAXI, "--resolve"): "the configuration cannot be composed .*--resolve",
    # two spellings of one setting
    (TAXI, "max_iterations=1", "train.max_iterations=2"): "max_iterations=1 and train.max_iterations=2 are the same",
    (AMP, "motion=walk", "task.motion=jog"): "motion=walk and task.motion=jog are the same setting; type one of them",
    (MAZE, "skill=a.pt", "task.skill=none"): "skill=a.pt and task.skill=none are the same setting",
    (AMP, "test=true", "mode=evaluate"): "test=true means mode=play, but mode=evaluate was typed too",
    (MAZE, "task.name=TaxiFuel"): "task.name=TaxiFuel: does not read the file of that name; type task=",
    (TAXI, "train.name=ppo"): "train.name=ppo: does not read the file of that name; type train=ppo",
    (AMP, "mode=play", "skill=rising"): "rising is a skill of task=HumanoidRise; type task=HumanoidRise instead",
    (AMP, "mode=play", "checkpoint=rising"): "type task=HumanoidRise instead of task=HumanoidAMP",
    (MAZE, "mode=play", "checkpoint=rising"): "rising is a skill; for task=HumanoidHRLMaze to command it, type skill=",
    ("task=HumanoidLocation", "test=True"): "needs a trained run: .*<time> or checkpoint=HumanoidLocation",
    # shell variables that are not set
    ("resume=",): "resume= is empty .*; type resume=PATH or leave resume= out",
    (AMP, "mode=evaluate", "checkpoint="): "checkpoint= is empty",
    (MAZE, "skill="): "skill= is empty",
    (AMP, "run_dir="): "run_dir= is empty",
    # values of the wrong kind, and sizes
    (MAZE, "task.guide=5"): "task.guide=5: type task.guide=true or task.guide=false",
    (TAXI, "device=meta"): "device=meta: worlds live on the CPU or on a CUDA device; type device=cpu or cuda:0",
    (TAXI, "device=xpu"): "device=xpu: worlds live on the CPU or on a CUDA device",
    (TAXI, "device=gpu"): "device=gpu cannot be used here",
    (TAXI, "seed=9223372036854775808"): "seed=9223372036854775808: ",
    (TAXI, "seed=18446744073709551616"): "seed=18446744073709551616: ",
    (MAZE, "task.layout=random", "task.size=1001"): "1003 x 1003 cells; the ways .* take 1.45e.06 GiB, and 0.5 GiB are",
    (MAZE, "task.layout=huge.txt"): "maze huge.txt: 200 x 200 cells; .* 17.9 GiB, .*; type a maze of 81 x 81 cells or",
    (TAXI, "device=cpu", "num_envs=900000000"): "num_envs=900000000: simulating so many worlds needs .* GiB of memory",
}  # fmt: skip


@pytest.fixture
def typed(monkeypatch, capsys):
    """`typed("task=TaxiFuel", …)` does what `python train.py task=TaxiFuel …` does, and gives exit code and stderr."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(settings, "load_learners", learners.load_learners)

    def typed(*arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        with pytest.raises(SystemExit) as stop:
            main.main()
        return stop.value.code, capsys.readouterr().err

    return typed


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_bad_input_is_one_message_and_exit_code_2(arguments, typed, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 2**20)
    monkeypatch.setattr(world_bytes, "MIN_GROWTH_BYTES", 0)  # the first growth will do
    (tmp_path / "huge.txt").write_text("\n".join(["#" * 200, *["#" + 198 * "." + "#"] * 198, "#" * 200]))
    code, said = typed(*arguments)
    assert code == 2 and len(said.splitlines()) == 1 and re.match("(Config|Checkpoint)Error: ", said), said
    assert re.search(REFUSED[arguments], said), said
    assert [path.name for path in tmp_path.iterdir()] == ["huge.txt"]
