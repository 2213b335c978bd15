"""Commands on the pages are executed: here up to their settled configuration, by a test that is named, or why not."""

import re
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest

import tasks  # noqa: F401 - registers what task= selects
from isaachrl.run import dispatch, main
from isaachrl.shipped import PROGRAM

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(page for glob in ("*.md", "docs/**/*.md", "assets/**/*.md") for page in ROOT.glob(glob))
PROGRAMS = r"(?:[A-Z_]+=\S+ )*(?:python3?|isaachrl|make|pip|torchrun|bash|npm|apt|ssh|wandb|git)(?: |$)"
STANDS_FOR = {  # what the pages leave open, and what is typed here
    r"runs/\w+/skill\.pt": "humanoid", "checkpoint=runs/maze": "checkpoint=umaze", r"\bSEED": "0", r"\bWEIGHT": "0.01",
    r"\bCLIP": "walk", r"\bLAYOUT": "umaze", r"\bPUSH": "0.1", r"\bRESCUE": "rising",
}  # fmt: skip
ELSEWHERE = {  # what is not `train.py` with one configuration: the test that runs it, shortened, or why none does
    r".*….*": "no command but a form of some",
    r"python train\.py|isaachrl|wandb|make|apt|ssh -L": "a name of a program",
    r"python train\.py --help|.* task=NAME --help": "tests/run/test_main.py",
    r"python train\.py --multirun .*": "tests/run/test_compare.py",
    r".*(HumanoidStand|evolution|Near).*": "tests/test_contributing.py",
    r"isaachrl task=.*": "tests/test_wheel.py",
    r".* (checkpoint|resume)=(RUN|FOLDER|runs/(skill|agile|walk))( .*)?": "needs a run; tests/run has short ones",
    r"python -m isaachrl\.run\.compare (runs/sweep|RUN)": "tests/run/test_compare.py",
    r"python -m isaachrl\.run\.suite .*|make suite": "tests/run/suite",
    r"python -m isaachrl\.motion\.synthesis": "tests/motion/test_synthesis.py",
    r"python -m isaachrl\.motion\.synthesis\.rising .*": "tests/motion/test_rising.py",
    r"torchrun .*": "tests/learn/test_distributed.py",
    r"python -m isaachrl\.isaacgym( .*)?|cd IsaacGymEnvs/.*": "tests/compat/test_upstream.py",
    r"python train\.py task=isaacgym:.*": "tests/compat/test_upstream.py",
    r"ISAACGYMENVS=PATH .*": "needs copies of other repositories",
    r"make bench( .*)?": "tests/test_bench.py",
    r"make demo": "takes minutes; tests/run/config/test_cli.py has its options, tests/run its commands",
    r"make page": "tests/test_shipped_page.py",
    r"make (chaos|check|docs|format|gpu|learn|test|test-portable)|bash \.ci/run": "runs tests and tools, in the CI",
    r"(pip|python3 -m venv|apt) .*": "fetches packages; the CI does, and tests/test_wheel.py without a network",
    r"ssh -L .*": "needs another machine",
    r"python -m isaachrl\.run\.compare OUT\.png .*": "tests/run/test_compare.py",
    r"python benchmarks/throughput\.py .*": "tests/test_throughput.py",
    r"OMP_NUM_THREADS=1 python benchmarks/isaacgym_throughput\.py PATH": "tests/test_isaacgym_throughput.py",
    r"python benchmarks/(memory|scaling)\.py .*": "tests/test_memory_and_scaling.py",
    r"python benchmarks/gpu_check\.py .*": "tests/test_gpu_check.py",
    r"python benchmarks/adapters\.py .*": "tests/test_adapters_benchmark.py",
    r"python benchmarks/ablation\.py .*": "tests/test_ablation.py",
    r"python benchmarks/goals\.py .*": "tests/test_goals_benchmark.py",
    r"python benchmarks/goals_sweep\.py .*": "tests/test_goals_sweep.py",
    r"python benchmarks/hpg_sweep\.py( .*)?": "tests/test_hpg_sweep.py",
    r"python benchmarks/perturb\.py .*": "tests/test_perturb.py",
    r"python benchmarks/ship_calls\.py .*": "tests/test_ship_calls.py",
    r"python benchmarks/skill_sheet\.py .*": "tests/test_skill_sheet.py",
    r"python benchmarks/tabular\.py .*": "tests/test_tabular_benchmark.py",
    r"python benchmarks/task_graph_figures\.py .*": "tests/test_task_graph_figures.py",
}  # fmt: skip


def commands_of(text):
    """The commands in a page's blocks and between backticks, each on one line, without comments."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks = "".join(block for language, block in found if language in ("", "bash", "sh", "console"))
    typed = re.sub(r"\s{2,}#.*", "", blocks.replace("\\\n", " ")).splitlines()
    typed += re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = [" ".join(line.split()) for line in typed]
    return [line for line in lines if re.match(PROGRAMS, line)]


@cache
def commands():
    """All commands, without those of the tables of what was renamed."""
    pages = [page.read_text(encoding="utf-8").split("### Renamed")[0] for page in PAGES if page.name != "CHANGELOG.md"]
    return sorted({command for page in pages for command in commands_of(page)})


def elsewhere(command):
    """What the table says of a command; each says one thing."""
    return next((said for pattern, said in ELSEWHERE.items() if re.fullmatch(pattern, command)), None)


HERE = [command for command in commands() if elsewhere(command) is None]


def test_commands_are_found_in_blocks_and_lines():
    page = (
        "```\npython train.py a=1 \\\n    b=2   # why\n```\n`make\ntest` and `num_envs` and\n```python\nmake = 1\n```\n"
    )
    assert commands_of(page) == ["python train.py a=1 b=2", "make test"]


def test_every_command_is_executed_or_says_why_not():
    others = [command for command in HERE if not command.startswith(f"{PROGRAM} ")]
    for command in [command for command in others if command.startswith("python -c ")]:
        exec(shlex.split(command)[2], {})
        others.remove(command)
    assert others == [], "neither run here nor in the table"
    assert len(HERE) >= 40
    unused = [pattern for pattern in ELSEWHERE if not any(re.fullmatch(pattern, command) for command in commands())]
    assert unused == [], "the table speaks of commands that no page has"
    assert [said for said in ELSEWHERE.values() if said.startswith("tests/") and not (ROOT / said).exists()] == []


@pytest.mark.parametrize("command", [command for command in HERE if command.startswith(f"{PROGRAM} ")])
def test_a_command_is_understood(command, monkeypatch, tmp_path):
    """Parsed, composed, its checkpoint read and every key checked; the tests of its mode do the rest."""
    for pattern, typed in STANDS_FOR.items():
        command = re.sub(pattern, typed, command)
    monkeypatch.chdir(tmp_path)
    (maze,) = re.findall(r"cat > mine\.txt <<END\n(.*?)END\n", (ROOT / "docs" / "tasks.md").read_text(), re.DOTALL)
    (tmp_path / "mine.txt").write_text(maze)
    settled = []
    monkeypatch.setattr(dispatch, "dispatch", lambda settings, stop: settled.append(settings))
    monkeypatch.setattr(sys, "argv", shlex.split(command)[1:])
    main.main()
    (settings,) = settled
    for word in shlex.split(command)[2:]:
        key, _, value = word.partition("=")
        if key in ("mode", "seed", "max_iterations"):
            assert str(getattr(settings.run, key)).endswith(value)
        assert key != "task" or settings.task.name == value
