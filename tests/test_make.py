"""The scripts behind `make`, with commands in place of the real ones that only note how they were called."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def command(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def call(script, argument, path, **more):
    """Run a script of `.ci/` with `path` before the real commands."""
    environment = {key: value for key, value in os.environ.items() if key != "EXTRAS"}
    environment |= {"PATH": f"{path}:{os.environ['PATH']}", **more}
    words = ["bash", str(ROOT / ".ci" / script), str(argument)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("answers", "asked", "extras"),
    [
        (True, {}, ".[test,export,view,gpu]"),
        (True, {"EXTRAS": "test"}, ".[test,gpu]"),
        (False, {}, ".[test,export,view]"),
        (False, {"EXTRAS": "test"}, ".[test]"),
    ],
)
def test_the_gpu_engine_is_installed_where_a_gpu_answers(tmp_path, answers, asked, extras):
    command(tmp_path / "path" / "nvidia-smi", f"exit {0 if answers else 9}")
    command(tmp_path / "venv" / "bin" / "python", f'echo "$@" >>{tmp_path}/calls')
    done = call("venv", tmp_path / "venv", tmp_path / "path", **asked)
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "calls").read_text().splitlines()
    assert line.split()[:4] == ["-m", "pip", "install", "-q"] and line.split()[-1] == extras


@pytest.mark.parametrize("broken", ["pytest", "benchmarks/memory.py", ""])
def test_on_a_gpu_one_failure_stops_nothing_and_is_reported(tmp_path, broken):
    for name in ("python", "pytest"):
        command(
            tmp_path / name, f'echo "{name} $1" >>{tmp_path}/calls; [ "{broken}" != "{name}" -a "{broken}" != "$1" ]'
        )
    done = call("gpu", tmp_path, tmp_path)
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert calls[0][0] == "pytest"
    assert [words[1].removeprefix("benchmarks/") for words in calls[1:]] == [
        "gpu_check.py", *["throughput.py"] * 5, "memory.py", "scaling.py",
    ]  # fmt: skip
    assert done.returncode == (1 if broken else 0)
    reported = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert len(reported) == bool(broken) and all(broken in line for line in reported)


def test_make_gpu_calls_that_script_with_its_environment():
    words = ["make", "-n", "gpu", "VENV=/nowhere"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "bash .ci/gpu /nowhere/bin" in done.stdout
