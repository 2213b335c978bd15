"""The check of a GPU: what becomes of sections that fail, hang or die, and how it is called."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from isaachrl.errors import ConfigError
from tests.small_learner import make_learner

ROOT = Path(__file__).resolve().parents[1]
HEAD = """
import os, signal, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, {benchmarks!r})
from gpu.report import Report
report = Report(Path(sys.argv[1].removeprefix("figures=")))
"""


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def gpu_check():
    import gpu_check

    return gpu_check


@pytest.fixture
def job():
    """A section whose process runs these lines of Python, with a `report` at hand."""
    from gpu.runner import Job

    head = HEAD.format(benchmarks=str(ROOT / "benchmarks"))

    def make(name, code, limit_s=60.0):
        return Job(name, limit_s, [sys.executable, "-c", head + code, "figures="])

    return make


@pytest.fixture
def run(tmp_path):
    """Run sections; the result and the lines of the file."""
    from gpu.runner import Runner

    def call(jobs, budget_s=600.0):
        out = tmp_path / "new" / "results.jsonl"
        good = Runner(out, budget_s, {"device": "none"}).run(jobs)
        return good, [json.loads(line) for line in out.read_text().splitlines()]

    return call


def alive(pid):
    """Whether a process is there and no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_every_section_gets_its_line_whatever_becomes_of_it(job, run, tmp_path, monkeypatch):
    pid = tmp_path / "pid"

    class Popen(subprocess.Popen):
        def wait(self, timeout=None):
            """The time of the section that hangs is over when it has come to that, however slow the machine is."""
            if timeout is None or str(pid) not in self.args[2]:
                return super().wait(timeout)
            end = time.monotonic() + timeout
            while time.monotonic() < end and not (pid.is_file() and pid.read_text()):
                time.sleep(0.01)
            raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    starts = f"Path({str(pid)!r}).write_text(str(subprocess.Popen(['sleep', '600']).pid)); "
    good, lines = run(
        [
            job(
                "raises", "report.figure('a', 1.0)\nwith report.part('all'): raise ValueError('too  bad')\nsys.exit(1)"
            ),
            job("hangs", f"report.figure('b', 2); {starts}time.sleep(600)"),
            job("dies", "report.figure('c', [3]); os.kill(os.getpid(), signal.SIGSEGV)"),
            job("stops", "raise SystemExit('no such thing')"),
            job("fine", "report.check('d', True)"),
        ]
    )
    assert not good
    assert [line["section"] for line in lines] == ["raises", "hangs", "dies", "stops", "fine"]
    assert [line["status"] for line in lines] == ["failed", "timeout", "failed", "failed", "ok"]
    assert [line["error"] for line in lines] == [
        "all: ValueError: too bad",
        "ended after its limit of 60 s",
        "the process died by SIGSEGV",
        "no such thing",
        None,
    ]
    shown = [{name: entry["value"] for name, entry in line["figures"].items()} for line in lines]
    assert shown == [{"a": 1.0}, {"b": 2}, {"c": [3]}, {}, {"d": True}]  # what was found before the end is kept
    assert all(line["device"] == "none" for line in lines)
    assert not alive(int(pid.read_text()))  # what a section started ends with it


def test_a_check_that_does_not_hold_fails_its_section_and_no_other_part(job, run):
    parts = (
        "\nwith report.part('first'): 1 / 0"
        "\nwith report.part('second'): report.check('same', False, 0.5)"
        "\nwith report.part('third'): report.figure('bare_ms', 4.0)"
        "\nsys.exit(report.failed)"
    )
    good, (line,) = run([job("throughput", parts)])
    assert not good and line["status"] == "failed"
    assert line["error"] == "first: ZeroDivisionError: division by zero; same: 0.5"
    assert line["figures"] == {
        "same": {"value": False, "predicted": None},
        "bare_ms": {"value": 4.0, "predicted": None},
    }


@pytest.mark.parametrize(("code", "rest"), [("sys.exit('no')", "skipped"), ("pass", "ok"), ("time.sleep(600)", "ok")])
def test_after_a_no_go_the_rest_is_skipped(job, run, code, rest):
    """A process that has not ended has said nothing: the others are tried."""
    gate = dataclasses.replace(job("versions", code, limit_s=0.2 if "sleep" in code else 60.0), gate=True)
    good, lines = run([gate, job("engine", "report.figure('a', 1)"), job("user", "")])
    assert good == (code == "pass")
    assert [line["status"] for line in lines[1:]] == [rest, rest]
    assert all(line["error"] == ("versions failed" if rest == "skipped" else None) for line in lines[1:])
    assert all(line["device"] == "none" for line in lines)


def test_without_a_gpu_only_a_dry_run_that_was_asked_for_begins(gpu_check, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_check, "choose_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(gpu_check, "gpu_obstacle", lambda: "it is asleep")
    monkeypatch.setattr(gpu_check.Runner, "run", lambda self, jobs: True)
    out = f"out={tmp_path / 'x.jsonl'}"
    with pytest.raises(ConfigError, match=r"\(it is asleep\); type device=cpu num_envs=8 for the dry run"):
        gpu_check.main([out])
    assert gpu_check.main([out, "device=cpu", "num_envs=8"]) == 0
    monkeypatch.setattr(gpu_check, "choose_device", lambda name: torch.device("cuda", 0))
    assert gpu_check.main([out]) == 0


def test_predictions_stand_beside_their_figures_and_on_the_page(job, run):
    from gpu.predictions import PREDICTIONS

    low, high = PREDICTIONS["throughput/4096/bare_ms"]
    good, (line,) = run([job("throughput", "report.figure('4096/bare_ms', 5.0); report.figure('4096/other', None)")])
    assert good
    assert line["figures"]["4096/bare_ms"] == {"value": 5.0, "predicted": [low, high]}
    assert line["figures"]["4096/other"] == {"value": None, "predicted": None}
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name, (low, high) in PREDICTIONS.items():
        assert f"| `{name}` | {low:,g} to {high:,g} |" in page, name


def test_an_iteration_is_measured_by_its_parts(tmp_path):
    from gpu.report import Report
    from gpu.update import Iterations

    path = tmp_path / "figures.jsonl"
    Iterations(Report(path), make_learner("ase"), 1).phases("a/")
    figures = {line["figure"]: line["value"] for line in map(json.loads, path.read_text().splitlines())}
    parts = ("rollout", "opinions", "env_step", "policy", "judge", "remember", "update", "iteration")
    assert all(figures[f"a/{part}_ms"] > 0 for part in parts), "benchmarks keep the names of their figures"


def test_when_the_budget_is_spent_the_rest_is_skipped(job, run, monkeypatch):
    monkeypatch.setattr("gpu.runner.MIN_S", 0.5)
    good, lines = run([job("long", "time.sleep(60)", limit_s=50.0), job("late", "report.figure('a', 1)")], budget_s=1.0)
    assert not good
    assert [line["status"] for line in lines] == ["timeout", "skipped"]
    assert lines[1]["error"] == "budget_s is used up"


def test_sections_are_processes_of_the_script_with_their_limits(gpu_check):
    from gpu.options import LIMITS_S, Options

    options = Options(device="cpu", num_envs=8, sections="user, engine", patience=2.0, out="x.jsonl")
    engine, user = gpu_check.jobs(options)  # in the order of the sections
    assert (engine.name, user.name) == ("engine", "user")
    assert engine.limit_s == 2 * LIMITS_S["engine"]
    assert engine.command[-2:] == ["only=engine", "figures="]
    assert {"device=cpu", "num_envs=8", "patience=2.0"} <= set(engine.command)
    assert not any(word.startswith(("sections=", "compile=")) for word in engine.command)
    every = gpu_check.jobs(Options())
    assert [job.name for job in every] == list(LIMITS_S) and [job.name for job in every if job.gate] == ["versions"]
    assert sum(LIMITS_S.values()) == Options().budget_s == 780.0
    assert all((ROOT / "benchmarks" / "gpu" / f"{name}.py").is_file() for name in LIMITS_S)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("sections=engine,grafs", r"no section 'grafs'; did you mean graphs"),
        ("num_env=8", r"unknown key num_env; did you mean num_envs"),
        ("num_envs=2", r"num_envs=2: expected a number from 4"),
        ("budget_s=0", r"budget_s=0"),
        ("patience=-1", r"patience=-1"),
        ("only=engine", r"only=engine needs figures=FILE"),
    ],
)
def test_misspelt_words_are_refused(gpu_check, word, message):
    with pytest.raises(ConfigError, match=message):
        gpu_check.main([word])


def test_one_section_runs_in_this_process_and_writes_its_figures(gpu_check, monkeypatch, tmp_path):
    import gpu.versions
    from gpu.report import read

    monkeypatch.setattr(gpu.versions, "run", lambda report, options: report.figure("n", options.num_envs))
    path = tmp_path / "figures.jsonl"
    assert gpu_check.main(["only=versions", f"figures={path}", "device=cpu", "num_envs=8"]) == 0
    assert read(path) == ({"n": 8}, [])
    path.write_text(path.read_text() + '{"figure": "cut o')  # a process died while it wrote
    assert read(path) == ({"n": 8}, [])

    def fails(report, options):
        report.figure("m", float("nan"))
        raise RuntimeError("no")

    monkeypatch.setattr(gpu.versions, "run", fails)
    assert gpu_check.main(["only=versions", f"figures={tmp_path / 'b'}"]) == 1
    assert read(tmp_path / "b") == ({"m": None}, ["versions: RuntimeError: no"])


def test_clocks_and_counters():
    from gpu.measure import Operations, Stopwatch, launches, replaced, seconds, used_bytes

    cpu = torch.device("cpu")

    class Thing:
        kind = "one"

        def work(self, s):
            time.sleep(s)
            return s

    thing, watch = Thing(), Stopwatch(cpu)
    with watch.watching(thing, "work", "nap"):
        assert thing.work(0.02) == 0.02 and thing.work(s=0.01) == 0.01
    total = watch.totals_ms()["nap"]
    thing.work(0.01)  # not watched any more
    assert total >= 30.0 and watch.totals_ms()["nap"] == total
    with replaced(thing, "kind", "two"):
        assert thing.kind == "two"
    assert thing.kind == "one" and "kind" not in vars(thing)
    naps = []
    assert seconds(cpu, lambda: naps.append(time.sleep(0.01)), times=3) >= 0.01 and len(naps) == 3
    x = torch.ones(2, 2, requires_grad=True)
    with Operations() as mode:
        y = (x * x).T.sum()  # mul, sum; the transpose is a view
    assert mode.count == 2
    with Operations() as mode:
        y.backward()
    assert mode.count >= 3  # two products and their sum at least
    assert used_bytes(cpu) is None and launches(cpu, lambda: None) is None


def test_noted_launches_are_those_of_a_step_and_kernels_are_found_again(monkeypatch, tmp_path):
    wp = pytest.importorskip("warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    from gpu import kernels

    from isaachrl.sim import Scene, make_sim
    from isaachrl.sim.worlds import warp_kernels

    done, launch = set(), wp.launch

    def launched(kernel, dim, **named):  # nothing is carried out: no kernel has to be compiled for this processor
        if 0 not in np.atleast_1d(dim):
            done.add(kernel.module)

    with monkeypatch.context() as patched:
        patched.setattr(wp, "launch", launched)
        patched.setattr(wp, "launch_tiled", launched)
        patched.setattr(wp, "capture_while", lambda _, while_body, **named: while_body(**named))  # it would never end
        sim = make_sim(Scene(), 1, "mujoco_warp", torch.device("cpu"))
        sim.step(1)
        launches = kernels.Launches()
        launches.of(sim)
        assert wp.launch is launched
    assert wp.launch is launch
    noted = {module: threads for module, threads in launches.found}
    assert len(done) > 20 and done <= set(noted), {module.name for module in done - set(noted)}
    assert {32, 64, 256} <= set(noted.values())  # on the CPU every one of them has a single thread

    own = wp.get_module(warp_kernels.__name__)
    monkeypatch.setattr(wp.config, "kernel_cache_dir", wp.config.kernel_cache_dir)
    monkeypatch.setitem(own.options, "block_dim", own.options["block_dim"])
    monkeypatch.setattr(kernels, "needed", lambda: {own: [256]})
    first, again = (kernels.compile_kernels(tmp_path, 90) for _ in range(2))
    assert (first["kernels"], first["compiled"]) == (1, 1) and (again["kernels"], again["compiled"]) == (1, 0)
    names = {path.suffix for path in (tmp_path / wp.config.version).glob("*/*")}
    assert names == {".meta", ".cubin"}
