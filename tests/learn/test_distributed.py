"""Two processes that train together: they stay alike, and equal one process that has all environments."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from isaachrl.errors import CheckpointError, ConfigError
from isaachrl.learn import collectives, distributed
from isaachrl.maths.seeds import rank_seed
from isaachrl.run import dispatch as commands
from isaachrl.run.config import settings
from isaachrl.run.storage.checkpoint import load_checkpoint
from tests.learn import ranks
from tests.run import point

ROOT = Path(__file__).resolve().parents[2]
RANKS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def found(folder):
    """What each of two processes found, see `ranks.work`."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.learn.ranks", str(rank), str(RANKS), str(folder)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    for process in processes:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(RANKS)]


def same(a, b):
    """Bit for bit, at any depth."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_the_parts_by_hand(found):
    for rank, parts in enumerate(one["parts"] for one in found):
        assert parts["mean"].tolist() == [0.5, 5.0]
        # rows around 0 with variance 1 and around 2 with variance 2: mean 1, variance 1.5 + 1
        assert [value.item() for value in parts["pooled"]] == [1.0, 2.5]
        assert parts["gradient"].tolist() == [0.5, 3.5]
        assert parts["weight"] == 7.0
        assert parts["signals"] == {"both": 0.5, "only 0": 3.0, "only 1": 3.0}
        assert parts["greatest"] == [1, 4]
        assert parts["part"].tolist() == [[0, 1], [2, 3]][rank]
    assert found[0]["parts"]["gathered"] == [{"rank": 1, "x": torch.ones(1)}]
    assert found[1]["parts"]["gathered"] == []
    drawn = [one["parts"]["drawn"] for one in found]
    assert torch.equal(drawn[0], torch.rand(3, generator=torch.Generator().manual_seed(3)))
    assert not torch.equal(*drawn)


def test_an_update_on_shared_rows_is_that_of_one_process_on_all_of_them(found):
    alone = ranks.one_update()
    together = found[0]["update"]
    assert same(together["after"], found[1]["update"]["after"])
    step = 3e-4
    for name, expected in alone["after"].items():
        if name.endswith(".count"):  # every rank counts its own rows
            assert together["after"][name].item() == expected.item() / RANKS, name
            continue
        torch.testing.assert_close(together["before"][name], alone["before"][name], rtol=1e-5, atol=1e-6)
        tolerance = 0.02 * step if expected.dtype == torch.float32 and "norm" not in name else 1e-5
        assert_close(together["after"][name], expected, rtol=1e-5, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")
    moved = [name for name, value in alone["after"].items() if not torch.equal(value, alone["before"][name])]
    assert {"skill.obs_norm.mean", "skill.discriminator.norm.var", "value_norm.var"} <= set(moved)
    assert any(name.startswith("skill.actor") for name in moved) and any(name.startswith("critic") for name in moved)
    for signals in (alone["signals"], together["signals"]):
        del signals["reward/style_deterministic"]  # a share of each rank's own environments
    assert together["signals"] == pytest.approx(alone["signals"], rel=1e-4, abs=1e-6)


def test_after_some_iterations_the_ranks_agree_on_the_skill_and_on_nothing_else(found):
    a, b = (one["skills"] for one in found)
    for name in ("weights", "optimizer", "signals", "samples", "log"):
        assert same(a[name], b[name]), name
    assert a["samples"] == 3 * ranks.ENVS * ranks.SMALL["horizon"]
    for name in ("qpos", "latent", "replay"):
        assert not torch.equal(a[name], b[name]), name


def test_ppo_keeps_weights_normalisers_and_step_sizes_alike(found):
    a, b = (one["ppo"] for one in found)
    for name in ("model", "signals", "samples", "rates"):
        assert same(a[name], b[name]), name
    assert a["moved"] and not torch.equal(a["pos"], b["pos"])
    assert a["samples"] == 4 * 8 * 32
    assert a["minibatches"] == 4  # 256 rows in minibatches of 64, on however many ranks
    assert a["rates"][0] != 3e-4  # the step size has been adapted


def test_a_resumed_run_of_two_processes_is_the_uninterrupted_one(found, folder):
    assert [one["runs"]["folders"] for one in found] == [
        [str(folder / name) for name in ("whole", "parts", "parts")],
        ["None"] * 3,  # the second process leaves the files to the first
    ]
    whole, parts = (load_checkpoint(folder / name) for name in ("whole", "parts"))
    assert whole.iteration == 4 and whole.samples == 4 * 4 * 8
    for name in ("learner_state", "env_state", "random_state", "others"):
        assert same(getattr(whole, name), getattr(parts, name)), name
    (other,) = whole.others
    assert same(other["learner_state"]["agent"]["model"], whole.learner_state["agent"]["model"])
    assert not same(other["env_state"], whole.env_state)
    assert (folder / "whole" / "report.png").exists()
    lines = [json.loads(line) for line in (folder / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [line["samples"] for line in lines] == [32, 64, 96, 128]


def test_unequal_shares_and_single_process_commands_are_refused_on_two_ranks(found):
    for one in found:
        refused = one["runs"]["refused"]
        assert "num_envs=7 cannot be shared by 2 processes equally; type num_envs=6" in refused["share"]
        assert "the learner greedy trains in one process; type python train.py" in refused["learner"]
        assert "mode=evaluate runs in one process" in refused["mode"]


def test_a_run_of_two_processes_is_not_resumed_by_one(found, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    point.register_all()
    values = {"resume": str(folder / "whole"), "device": "cpu"}
    with pytest.raises(CheckpointError, match=r"made by 2 process.*torchrun --nproc-per-node=2.*checkpoint="):
        commands.dispatch(settings.resolve(values, values))


def test_alone_everything_is_handed_back(monkeypatch):
    values, generator = torch.ones(2), torch.Generator().manual_seed(9)
    assert collectives.mean(values) is values and distributed.own_part(values).data_ptr() == values.data_ptr()
    assert (distributed.rank(), distributed.size(), distributed.own_seed(4)) == (0, 1, 4)
    distributed.decorrelate_seed(generator)
    assert generator.initial_seed() == 9
    assert collectives.gather({"a": 1}) == [] and collectives.max_over_ranks(True, 4) == [1, 4]
    assert distributed.own_device(torch.device("cuda", 0)) == torch.device("cuda", 0)
    with distributed.process_group():
        assert distributed.size() == 1


def test_the_seed_of_another_process_is_no_sum(monkeypatch):
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    generator = torch.Generator().manual_seed(9)
    distributed.decorrelate_seed(generator)
    assert generator.initial_seed() == distributed.own_seed(9) == rank_seed(9, 1)
    assert abs(distributed.own_seed(10) - distributed.own_seed(9)) > 1


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="process 2 on a machine of 1 GPUs; type --nproc-per-node=1"):
        distributed.own_device(torch.device("cuda", 0))
    assert distributed.own_device(torch.device("cpu")) == torch.device("cpu")


def test_more_processes_than_gpus_may_train_on_the_cpu(monkeypatch):
    taken, begun = [], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(distributed.dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(distributed.dist, "init_process_group", begun.append)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: None)
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        with distributed.process_group():
            pass
    assert taken == [0] and begun == ["cpu:gloo,cuda:nccl"] * 2


@pytest.mark.slow
def test_torchrun_trains_the_humanoid(tmp_path):
    small = ["train.hidden=[16]", "train.discriminator.hidden=[16]", "train.discriminator.demo_windows=8"]
    words = [
        "task=HumanoidAMP",
        "device=cpu",
        "num_envs=8",
        "max_iterations=1",
        "motion=walk",
        f"run_dir={tmp_path}",
        *small,
    ]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "train.py", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.iteration == 1 and len(checkpoint.others) == 1
    assert checkpoint.samples == 8 * 8
    assert done.stderr.count("HumanoidAMP: 4 environments on cpu") == 1  # one of the two speaks
    assert (tmp_path / "skill.pt").exists()
