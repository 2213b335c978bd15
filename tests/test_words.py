"""Retired words stay out of the tree: each word, key or phrase with a new name is found here, with that name.

`docs/glossary.md` explains the words in use.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SEARCHED = ("*.py", "*.md", "*.yaml")
FOLDERS = ("isaachrl", "tasks", "cfg", "benchmarks", "tests", "docs", "assets")

# regular expression, whole words, upper and lower case apart: what to write instead
RETIRED = {
    # skills
    "[Jj]udg(e|es|ed|ing)": "discriminator",
    "Judgement|judgement": "DiscriminatorLoss (key: discriminator.loss)",
    "opinions?": "logit_and_encoding",
    "PaceReward": "VelocityReward",
    "reward[./]pace": "reward.velocity, reward/velocity",
    "reward/style_of_mean": "reward/style_deterministic",
    "mean_share": "deterministic_share",
    "likely_pieces": "likely_segments",
    "piece_of": "segment_of",
    "skill\\.place_of": "skill.prototype_of",
    "MotionSpace": "MotionEmbedding",
    "clip_commands": "clip_latents",
    "CommandSource": "LatentSource",
    "HeldCommands": "HeldLatents",
    "[Ee]xamin(e|es|ed|ation)|Examination": "evaluate, evaluation, SkillEvaluation",
    "some_rise": "recovery_enabled",
    # goals
    "wish(es)?": "goal_or_context, context",
    "proposals?": "unit_goal",
    "choose_in_earnest": "ema_action",
    "in earnest": "(leave it out)",
    "average_rate": "ema_rate",
    "slow_down(?=\\()": "anneal_learning_rates",
    "show_raw|noise_raw": "actions_in_physical_units (key: hiro_details)",
    "action_again": "late_action_input (key: hiro_details)",
    "Twins": "TwinCritic",
    "PursuerUpdate|pursuers?": "WorkerUpdate, worker",
    "check_every": "eval_every",
    "check_episodes": "eval_episodes",
    "check/(success_rate|success_at_\\w+|return|flipped_rate)": "eval/…",
    "EpisodeTally": "EpisodeStatistics, Means",
    # task graphs and CUDA graphs
    "pay_internally": "internal_reward",
    "GraphLearner": "TabularLearner",
    "use_graph": "use_cuda_graph",
    "mode=graph": "mode=task_graph",
    "(?<![\\w.])graph=(auto|off)": "cuda_graph=…",
    "[Ff]ined?(?= by| for)": "penalty, penalized",
    # environments
    "observe_groups": "observe_within",
    "begin_again": "reset_where",
    "OBSERVES_BY_WORLD": "(gone)",
    "SomeWorlds|sim\\.rows_of": "(gone)",
    "Task\\.part": "(gone)",
    # processes
    "part_ways": "decorrelate_seed",
    "take_in": "update_norm",
}
PRONOUNS = "[Ww]ho|[Ww]hoever|[Nn]obody|[Ss]omebody"  # of bodies, worlds and programs; in docstrings and comments
PEOPLE = "name the body, the world or the caller"

# file: the retired words that it may hold, since it is about them
EXCEPTIONS = {
    "CHANGELOG.md": ".*",  # says what was renamed
    "tests/test_words.py": ".*",
    "isaachrl/hierarchy/skill.py": "judge|judgement",  # reads files of the last release
    "tests/hierarchy/test_skill_version_1.py": "judge|judgement",
    "benchmarks/gpu/update.py": "judge|opinions",  # figures keep their names
    "benchmarks/gpu/predictions.py": "judge",
    "tests/test_gpu_check.py": "judge|opinions",
    "docs/performance.md": "judge",
    "isaachrl/run/config/settings.py": "mode=graph",  # answers it with the new name
    "tests/run/config/test_settings.py": "mode=graph",
}


def is_exception(path: str, word: str) -> bool:
    """Whether a file may hold a word."""
    return re.fullmatch(EXCEPTIONS.get(path, ""), word) is not None


@cache
def texts() -> dict[str, str]:
    """Every searched file by its path from the root of the repository."""
    roots = [ROOT / folder for folder in FOLDERS]
    paths = [*(path for glob in SEARCHED for root in roots for path in root.rglob(glob)), *ROOT.glob("*.md")]
    paths = sorted({*paths, ROOT / "train.py"})
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def renamed_lines(tree: ast.Module) -> set[int]:
    """Lines of the tables `RENAMED`, by which old keys are answered with their new names."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and getattr(n.target, "id", "") == "RENAMED"]
    return {line for node in found for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of the docstrings and the comments of a Python file."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and ast.get_docstring(node) is not None:
                end = first.end_lineno or first.lineno
                yield from enumerate(lines[first.lineno - 1 : end], first.lineno)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def search(lines: Iterator[tuple[int, str]], pattern: str) -> Iterator[tuple[int, str]]:
    """Lines with a retired word, alone or as a part of an identifier: number of the line and the word."""
    whole = re.compile(rf"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])")
    for number, line in lines:
        for match in whole.finditer(line):
            yield number, match[0]


def offences(path: str, text: str, pattern: str, instead: str) -> list[str]:
    """`file:line: word -> replacement` for each place in a file."""
    if re.search(pattern, text) is None:
        return []
    skipped = renamed_lines(ast.parse(text)) if path.endswith(".py") else set()
    lines = prose(text) if pattern == PRONOUNS else enumerate(text.splitlines(), 1)
    found = [(n, word) for n, word in search(lines, pattern) if n not in skipped and not is_exception(path, word)]
    return [f"{path}:{number}: {word} -> {instead}" for number, word in sorted(set(found))]


def has_pronouns_checked(path: str) -> bool:
    """Whether docstrings and comments of this file are about bodies, worlds and programs."""
    return path.endswith(".py") and path.startswith(("isaachrl/", "tasks/"))


@pytest.mark.parametrize("pattern", RETIRED)
def test_retired_words_are_gone(pattern):
    found = [place for path, text in texts().items() for place in offences(path, text, pattern, RETIRED[pattern])]
    assert not found, "retired words:\n  " + "\n  ".join(found)


def test_docstrings_name_things_not_persons():
    files = {path: text for path, text in texts().items() if has_pronouns_checked(path)}
    found = [place for path, text in files.items() for place in offences(path, text, PRONOUNS, PEOPLE)]
    assert not found, "pronouns for things:\n  " + "\n  ".join(found)


SAMPLE = '''"""A body that nobody judges."""
RENAMED: dict[str, str] = {"noise_raw": "hiro_details"}
judge = "who"  # whoever falls
noise_raw = "prejudged"
'''


def test_the_search_finds_whole_words_with_file_line_and_replacement():
    found = {p: offences("isaachrl/a.py", SAMPLE, p, "new") for p in ("[Jj]udg(e|es|ed|ing)", "noise_raw", PRONOUNS)}
    assert found["[Jj]udg(e|es|ed|ing)"] == ["isaachrl/a.py:1: judges -> new", "isaachrl/a.py:3: judge -> new"]
    assert found["noise_raw"] == ["isaachrl/a.py:4: noise_raw -> new"], "not in RENAMED"
    assert found[PRONOUNS] == ["isaachrl/a.py:1: nobody -> new", "isaachrl/a.py:3: whoever -> new"], "no string"


def test_the_search_covers_the_tree():
    assert {"README.md", "train.py", "isaachrl/__init__.py", "cfg/config.yaml", "docs/signals.md"} <= texts().keys()
    assert EXCEPTIONS.keys() <= texts().keys()
