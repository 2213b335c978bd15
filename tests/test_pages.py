"""The pages name keys that exist, and their links lead somewhere."""

import dataclasses
import re
from functools import cache
from pathlib import Path

import pytest

import tasks  # noqa: F401 - importing them registers them
from isaachrl.envs import registry as envs
from isaachrl.learn import registry as learners
from isaachrl.run.config.learners import load_learners
from isaachrl.run.config.settings import RunCfg

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(page for glob in ("*.md", "docs/**/*.md", "assets/**/*.md") for page in ROOT.glob(glob))
KEY = re.compile(r"(?<![\w/.])(?:task|train)\.(?!py\b)[a-z_]+(?:\.[a-z_]+)*")
COMMAND = re.compile(r"python train\.py((?:[ \\\n]+[a-z_.]+=[^\s`]+)+)")
LINK = re.compile(r"\]\((?!http)([^)#\s]*)#?([^)\s]*)\)")


@cache
def keys():
    """Every key that can be typed, with its path."""
    load_learners()
    sections = {"task": envs._ENTRIES, "train": learners._ENTRIES}
    found = {
        f"{name}.{path}" for name, entries in sections.items() for e in entries.values() for path in paths(e.cfg_type())
    }
    return found | {field.name for field in dataclasses.fields(RunCfg)}


def paths(cfg):
    """Dotted paths of the values and sections of a configuration."""
    values = cfg if isinstance(cfg, dict) else vars(cfg)
    nested = {
        name: value for name, value in values.items() if dataclasses.is_dataclass(value) or isinstance(value, dict)
    }
    return [*values, *(f"{name}.{path}" for name, value in nested.items() for path in paths(value))]


def text(page):
    """A page without the tables of what was renamed."""
    return page.read_text(encoding="utf-8").split("### Renamed")[0]


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
    assert sorted(word for word in words if word not in keys()) == [], "no task and no learner has these keys"
    for path, anchor in LINK.findall(text(page)):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_commands_and_keys_are_found():
    page = "`python train.py task=A\n  x=1` and `train.lam`, ../cfg/train.yaml, train.py"
    assert [command.split() for command in COMMAND.findall(page)] == [["task=A", "x=1"]]
    assert KEY.findall(page) == ["train.lam"]
