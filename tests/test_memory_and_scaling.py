"""The benchmarks of memory and scaling: the arithmetic by hand, and that they run and say what they promise."""

import importlib.util
import json
from pathlib import Path

import pytest

from isaachrl.errors import ConfigError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def memory():
    return load("memory")


@pytest.fixture(scope="module")
def scaling():
    return load("scaling")


def test_a_line_through_the_two_ends(memory):
    # 100 bytes a world on top of 1000; 9000 bytes hold the 80 worlds that fill them
    assert memory.line([30, 10, 20], [4000, 2000, 5000], 9000.0) == (100.0, 1000.0, 80)


def test_memory_benchmark_reports_bytes_and_the_number_that_fits(memory, monkeypatch, capsys):
    held = {10: 2000, 30: 4000, 80: 9000}
    monkeypatch.setattr(memory, "in_own_process", lambda options, count: held.get(count))
    monkeypatch.setattr(memory, "capacity_bytes", lambda device: 18000)
    memory.main(["device=cpu", "sizes=10,30", "share=0.5", "verify=true"])
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    result = json.loads(line)
    assert (result["bytes_per_world"], result["bytes_without_worlds"], result["largest_num_envs"]) == (100, 1000, 80)
    assert result["verified"] is True
    assert "largest_num_envs" in printed.err
    with pytest.raises(ConfigError, match="20 worlds could not be built"):
        memory.main(["device=cpu", "sizes=10,20"])


def test_memory_of_real_worlds(memory):
    # in processes of their own, as the benchmark does: what other tests have left in this one's memory would be reused
    options = memory.Options(device="cpu")
    few, many = (memory.in_own_process(options, count) for count in (2, 1200))
    assert many - few > 1198 * 10_000  # a humanoid's state alone is larger
    assert memory.capacity_bytes(memory.choose_device("cpu")) > few


def test_memory_benchmark_reports_one_number(memory, capsys):
    memory.main(["device=cpu", "only=2"])
    assert int(capsys.readouterr().out) > 0


@pytest.mark.parametrize("word", ["sizes=10", "sizes=10,10", "sizes=ten,20", "share=0", "sises=1,2"])
def test_memory_benchmark_refuses_invalid_arguments(memory, word):
    with pytest.raises(ConfigError):
        memory.main([word])


def test_scaling_draws_what_throughput_says(scaling, monkeypatch, capsys, tmp_path):
    def said(count, words):
        assert words == {"task": "HumanoidAMP", "loop": "none"}
        head = {"task": "HumanoidAMP", "loop": "none", "device": "cpu", "engine": "mujoco", "graph": False}
        speed = {"num_envs": count, "bare_control_steps_per_s": 100 * count, "env_steps_per_s": 50 * count}
        return head | speed | {"versions": {}, "cores": 2, "ratio": 0.5, "blocks": 3}

    monkeypatch.setattr(scaling, "one_size", said)
    picture = tmp_path / "scaling.png"
    scaling.main([str(picture), "sizes=4,8", "task=HumanoidAMP", "loop=none"])
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert [point["env_steps_per_s"] for point in result["points"]] == [200, 400]
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "env_steps_per_s         200         400" in printed.err


@pytest.mark.parametrize("words", [[], ["a.png", "b.png"], ["a.png", "sizes=4,x"], ["a.png", "sizes=0"]])
def test_scaling_says_what_to_type(scaling, words):
    with pytest.raises(ConfigError, match=r"scaling\.py PICTURE\.png sizes="):
        scaling.main(words)


def test_scaling_passes_a_refusal_on(scaling, monkeypatch):
    class Refused:
        returncode, stdout, stderr = 1, "", "error: unknown task 'X'"

    monkeypatch.setattr(scaling.subprocess, "run", lambda *a, **k: Refused)
    with pytest.raises(ConfigError, match="num_envs=4: error: unknown task 'X'"):
        scaling.one_size(4, {"task": "X"})
