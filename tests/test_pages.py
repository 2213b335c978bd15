"""The pages name keys, tasks and files that exist, quote real messages, and their links lead somewhere."""

import ast
import dataclasses
import importlib
import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import isaachrl
import tasks  # noqa: F401 - importing them registers them
from isaachrl.compat.bridge import IsaacGymCfg
from isaachrl.envs import registry as envs
from isaachrl.learn import registry as learners
from isaachrl.motion.source.read import SUFFIXES
from isaachrl.motion.source.settle import SourceCfg
from isaachrl.motion.sources import load_motion
from isaachrl.retarget.measures import LIMITS
from isaachrl.run.config.learners import load_learners
from isaachrl.run.config.settings import RunCfg
from isaachrl.shipped import policies
from isaachrl.sim import load_robot

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(page for glob in ("*.md", "docs/**/*.md", "docs/*.ipynb", "assets/**/*.md") for page in ROOT.glob(glob))
KEY = re.compile(r"(?<![\w/.+])(?:task|train)\.(?!py\b)[a-z_]+(?:\.[a-z_]+)*")
COMMAND = re.compile(r"(?:python train\.py|isaachrl)((?:[ \\\n]+--multirun)?(?:[ \\\n]+[a-z_.]+=[^\s`]+)+)")
EXAMPLES = {"Near", "HumanoidStand", "evolution"}  # tasks and a learner of the pages themselves
LEAST = 9  # characters of a message that are not filled in
LINK = re.compile(r"\]\((?!http)([^)#\s]*)#?([^)\s]*)\)")


@cache
def keys():
    """Every key that can be typed, with its path."""
    load_learners()
    sections = {"task": envs._ENTRIES, "train": learners._ENTRIES}
    found = {
        f"{name}.{path}" for name, entries in sections.items() for e in entries.values() for path in paths(e.cfg_type())
    }
    found |= {f"task.{path}" for path in paths(IsaacGymCfg())} | {f"source.{path}" for path in paths(SourceCfg())}
    return found | {field.name for field in dataclasses.fields(RunCfg)}


def paths(cfg):
    """Dotted paths of the values and sections of a configuration."""
    values = cfg if isinstance(cfg, dict) else vars(cfg)
    nested = {
        name: value for name, value in values.items() if dataclasses.is_dataclass(value) or isinstance(value, dict)
    }
    return [*values, *(f"{name}.{path}" for name, value in nested.items() for path in paths(value))]


def text(page):
    """A page without the tables of what was renamed, and without quoted messages."""
    return re.sub(r"```text\n.*?```", "", page.read_text(encoding="utf-8").split("### Renamed")[0], flags=re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_keys_exist_and_links_lead_somewhere(page):
    words = set(KEY.findall(text(page)))
    words |= {
        word.partition("=")[0] for command in COMMAND.findall(text(page)) for word in re.findall(r"\S+=", command)
    }
    assert sorted(word for word in words if word not in keys() and not word.startswith("task.set.")) == [], (
        "no task and no learner has these keys"
    )
    for path, anchor in LINK.findall(text(page)):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_commands_and_keys_are_found():
    page = "`python train.py task=A\n  x=1` and `train.lam`, ../cfg/train.yaml, train.py"
    assert [command.split() for command in COMMAND.findall(page)] == [["task=A", "x=1"]]
    assert KEY.findall(page) == ["train.lam"]


def test_commands_name_tasks_learners_and_files_that_exist():
    motions = {path.stem for path in (ROOT / "assets" / "motions").iterdir()}
    trained = {"none", *policies()}
    known = {
        "task": {*envs._ENTRIES, *EXAMPLES},
        "train": {*(path.stem for path in (ROOT / "cfg" / "train").glob("*.yaml")), *EXAMPLES},
        "motion": {"builtin", *motions},
        "skill": trained,
        "checkpoint": trained,
    }
    for page in PAGES:
        for command in COMMAND.findall(text(page)):
            typed = dict(word.split("=", 1) for word in command.split() if re.match(r"[a-z_]+=", word))
            for key, names in known.items():
                value = typed.get(key, "NAME")
                is_name = value.isidentifier() and not value.isupper()  # capitals stand for what is yours
                assert not is_name or value in names, f"{page.name}: {key}={value}"
        for asset in re.findall(r"(?<![\w/.])assets/(?!NAME)[\w/]+\.\w+", text(page)):
            assert (ROOT / asset).is_file(), f"{page.name}: {asset}"


def test_the_readme_is_short_and_has_every_task_and_shipped_policy_once():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 120
    table = page.partition("\n## Tasks\n")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*)\|$", table, re.MULTILINE))
    assert sorted(name for shipped in rows.values() for name in re.findall(r"\w+", shipped)) == sorted(policies())
    registered = {name for name, entry in envs._ENTRIES.items() if entry.cfg_type.__module__.startswith("tasks.")}
    assert rows.keys() == registered, "the table of tasks in README.md has a row for each registered task"
    assert len(rows) == table.count("\n") - 1


@cache
def templates():
    """Every text of the source: its longest fixed part, and a regular expression, `.*` for what is filled in."""
    found = set()
    for path in (path for folder in ("isaachrl", "tasks") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            fixed = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            if sum(len(part) for part in fixed if isinstance(part, str)) >= LEAST:
                longest = max((part for part in fixed if isinstance(part, str)), key=len)
                found.add((longest, "".join(re.escape(p) if isinstance(p, str) else ".*" for p in fixed)))
    return found


def is_message(message):
    """Whether the source has a text that becomes this one when it is filled in."""
    return any(part in message and re.fullmatch(template, message) for part, template in templates())


def test_quoted_messages_are_those_of_the_source():
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    quoted = [
        " ".join(message.split()) for message in re.findall(r"^```text\n(.*?)\n```", page, re.DOTALL | re.MULTILINE)
    ]
    assert len(quoted) >= 10 and [message for message in quoted if not is_message(message)] == []
    assert not is_message(quoted[0].replace("renderer", "drawer"))


def test_documented_names_exist():
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md")]
    names = [name for page in pages for name in re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)]
    assert {"isaachrl.make", "isaachrl.sim.Sim"} <= set(names)
    for name in names:
        if name.startswith("isaachrl.adapters."):  # each imports its library
            assert importlib.util.find_spec(re.sub(r"\.[A-Z]\w*$", "", name)), name
            continue
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__doc__, name


def python(page, number):
    """A block of Python of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)[number]


def test_the_example_of_a_clip_can_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(python("motion.md", 0), {})
    (clip,), weights = load_motion("mine.npz", load_robot("humanoid"))
    assert clip.duration_s == pytest.approx(119 / 60) and weights == [1.0]


def test_the_example_in_python_runs():
    code = re.sub(r"num_envs=\d+", "num_envs=2", python("python.md", 0)).replace("range(100)", "range(2)")
    names = {}
    exec(code, names)
    assert isinstance(names["env"], isaachrl.Env) and names["result"].reward.shape == (2,)


def test_the_example_with_another_library_runs():
    pytest.importorskip("stable_baselines3", reason='needs the extra: pip install -e ".[sb3]"')
    code = python("python.md", 1).replace("num_envs=64", "num_envs=2").replace("=512", "=32").replace("100_000", "64")
    names = {}
    exec(code, names)
    assert names["model"].num_timesteps == 64


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    for module in ("mkdocs", "material", "mkdocstrings_handlers"):
        pytest.importorskip(module, reason='mkdocs-material is not installed: pip install -e ".[docs]"')
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "HierarchicalEnv" in (tmp_path / "site" / "api" / "hierarchy" / "index.html").read_text(encoding="utf-8")


def test_the_page_about_motions_has_every_key_and_every_limit():
    page = (ROOT / "docs" / "motion.md").read_text(encoding="utf-8")
    named = {field.name for field in dataclasses.fields(SourceCfg)}
    assert set(re.findall(r"source\.([a-z_]+)", page)) - {"read"} == named, "source.read is a module"
    rows = re.findall(r"^\| `([a-z_]+)`: [^|]+ \| ([\d.]+) \| ([\d.]+|never) \|$", page, re.MULTILINE)
    limits = {name: (float(low), float(high.replace("never", "inf"))) for name, low, high in rows}
    assert limits == LIMITS
    assert set(SUFFIXES) <= set(re.findall(r"`(\.[a-z]+)`", page))
