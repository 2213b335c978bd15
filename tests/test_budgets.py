"""The size and style budgets of the code, measured on its syntax trees. A failure lists the offenders as file:line."""

import ast
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("isaachrl", "tasks", "benchmarks", "train.py")

FILE_LINES = 500
FUNCTION_LINES, USUAL_FUNCTION_LINES, USUAL_SHARE = 60, 30, 0.90
ARGUMENTS = 10
CLASS_DEPTH = 3  # Task, SkillTask, one task
DOCSTRING_SHARE = 0.95
TEST_SHARE = 0.5
RUN_LINES, COPIED_SHARE = 6, 0.05

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the root of the repository, its lines and its syntax tree."""

    path: str
    lines: list[str]
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        """`file:line` of a node."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


def parse(path: str, text: str) -> Source:
    return Source(path, text.splitlines(), ast.parse(text))


@cache
def sources(*names: str) -> list[Source]:
    """The Python files under these files and folders; empty ones are left out."""
    roots = [ROOT / name for name in names]
    paths = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*.py")))]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return [parse(path, text) for path, text in texts.items() if text.strip()]


def functions() -> list[tuple[Source, Function]]:
    return [(s, node) for s in sources(*CODE) for node in ast.walk(s.tree) if isinstance(node, Function)]


def length(node: Function) -> int:
    """Lines of a function from `def` to its last line, docstring included."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def arguments(node: Function) -> list[ast.arg]:
    """Every argument of a function but `self` and `cls`."""
    a = node.args
    named = [*a.posonlyargs, *a.args, *a.kwonlyargs, *([a.vararg] if a.vararg else []), *([a.kwarg] if a.kwarg else [])]
    return [arg for arg in named if arg.arg not in ("self", "cls")]


def last_name(node: ast.expr) -> str:
    """`C` of the expressions `C`, `a.b.C` and `C[T]`."""
    if isinstance(node, ast.Subscript):
        return last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def class_depths(files: list[Source]) -> dict[str, int]:
    """Depth of every class by `file:line name`; classes from outside the project count nothing."""
    by_name: dict[str, list[tuple[Source, ast.ClassDef]]] = defaultdict(list)
    for source in files:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                by_name[node.name].append((source, node))

    def depth(node: ast.ClassDef, seen: tuple[ast.ClassDef, ...]) -> int:
        bases = [base for name in map(last_name, node.bases) for _, base in by_name[name] if base not in seen]
        return 1 + max((depth(base, (*seen, base)) for base in bases), default=0)

    return {f"{s.at(n)} {n.name}": depth(n, (n,)) for found in list(by_name.values()) for s, n in found}


def undocumented(source: Source) -> tuple[list[str], int]:
    """Public functions, classes and methods without a docstring, and how many there are in all."""
    missing: list[str] = []
    count = 0

    def visit(body: list[ast.stmt]) -> None:
        nonlocal count
        for node in body:
            if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
                continue
            if any(last_name(d) in ("overload", "setter") for d in node.decorator_list):
                continue
            count += 1
            if not ast.get_docstring(node):
                missing.append(f"{source.at(node)} {node.name}")
            if isinstance(node, ast.ClassDef):
                visit(node.body)

    visit(source.tree.body)
    return missing, count


def unwanted(source: Source) -> list[str]:
    """Places with `import *`, `global` or a call of `eval`."""
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            found.append(f"{source.at(node)} import *")
        elif isinstance(node, ast.Global):
            found.append(f"{source.at(node)} global {', '.join(node.names)}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "eval":
            found.append(f"{source.at(node)} eval(")
    return found


def plain_lines(source: Source) -> list[tuple[int, str]]:
    """Numbered lines that say something of their own: no imports, docstrings, comments or lone brackets."""
    skipped: set[int] = set()
    for node in ast.walk(source.tree):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if docstring or isinstance(node, ast.Import | ast.ImportFrom):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    numbered = ((i, " ".join(line.split())) for i, line in enumerate(source.lines, 1) if i not in skipped)
    return [(i, line) for i, line in numbered if line.strip("()[]{},: ") and not line.startswith("#")]


def copied(files: list[Source]) -> tuple[float, list[str]]:
    """Share of lines in six-line runs that stand elsewhere too, first places not counted, and where the copies are."""
    first: dict[tuple[str, ...], tuple[str, int]] = {}
    places: list[str] = []
    total = repeated = 0
    for source in files:
        lines = plain_lines(source)
        total += len(lines)
        marked: set[int] = set()
        for i in range(len(lines) - RUN_LINES + 1):
            run = tuple(text for _, text in lines[i : i + RUN_LINES])
            path, line = first.setdefault(run, (source.path, lines[i][0]))
            if (path, line) == (source.path, lines[i][0]):
                continue
            if i not in marked:
                places.append(f"{source.path}:{lines[i][0]} copies {path}:{line}")
            marked.update(range(i, i + RUN_LINES))
        repeated += len(marked)
    return repeated / max(total, 1), places


def none(offenders: list[str], rule: str) -> None:
    """Fail with the rule and the offenders, one a line, unless there are none."""
    assert not offenders, f"{rule}:\n  " + "\n  ".join(offenders)


def test_files_are_short():
    sizes = {s.path: len(s.lines) for s in sources(*CODE)}
    none([f"{path}:1 has {n}" for path, n in sizes.items() if n > FILE_LINES], f"more than {FILE_LINES} lines")


def test_functions_are_short():
    sizes = sorted(((length(node), f"{s.at(node)} {node.name}") for s, node in functions()), reverse=True)
    over = [f"{place} has {n}" for n, place in sizes if n > FUNCTION_LINES]
    none(over, f"functions of more than {FUNCTION_LINES} lines")
    longer = [f"{place} has {n}" for n, place in sizes if n > USUAL_FUNCTION_LINES]
    share = 1 - len(longer) / max(len(sizes), 1)
    report = "\n  ".join(longer)
    assert share >= USUAL_SHARE, f"only {share:.1%} have at most {USUAL_FUNCTION_LINES} lines; longer:\n  {report}"


def test_functions_take_few_arguments():
    counts = [(len(arguments(node)), f"{s.at(node)} {node.name}") for s, node in functions()]
    none([f"{place} takes {n}" for n, place in counts if n > ARGUMENTS], f"more than {ARGUMENTS} arguments")


def test_arguments_are_annotated():
    bare = [
        (s.at(node), node.name, arg.arg) for s, node in functions() for arg in arguments(node) if not arg.annotation
    ]
    none([f"{place} {name}({arg})" for place, name, arg in bare], "arguments without a type")


def test_classes_are_shallow():
    depths = class_depths(sources(*CODE))
    none([f"{place} is {n} deep" for place, n in depths.items() if n > CLASS_DEPTH], f"deeper than {CLASS_DEPTH}")


def test_public_names_have_docstrings():
    found = [undocumented(source) for source in sources(*CODE)]
    missing, count = [place for places, _ in found for place in places], sum(n for _, n in found)
    if len(missing) > (1 - DOCSTRING_SHARE) * count:
        none(missing, f"{len(missing)} of {count} public names have no docstring")


def test_there_are_enough_tests():
    code, tests = (sum(bool(line.strip()) for s in sources(*names) for line in s.lines) for names in (CODE, ("tests",)))
    assert tests >= TEST_SHARE * code, f"tests/:1 has {tests} lines for {code} lines of code"


def test_forbidden_constructs_are_absent():
    none([place for source in sources(*CODE) for place in unwanted(source)], "unwanted constructs")


def test_little_is_copied():
    share, places = copied(sources(*CODE))
    report = "\n  ".join(places)
    assert share <= COPIED_SHARE, f"{share:.1%} of the lines stand in copied runs of {RUN_LINES}:\n  {report}"


# The measures themselves, on code small enough to count by hand.

SAMPLE = parse(
    "sample.py",
    '''
from os import *

class A(ABC): ...
class B(A): """Doc."""
class C(pkg.B[int]):
    def good(self, x: int, *rest: int, flag: bool = True) -> None:
        """Doc."""
    def bad(self, y): return eval(y)
    def _private(self): global z
''',
)


@pytest.mark.parametrize(("name", "depth"), [("4 A", 1), ("5 B", 2), ("6 C", 3)])
def test_class_depth_counts_project_bases_only(name, depth):
    assert class_depths([SAMPLE])[f"sample.py:{name}"] == depth


def test_measures_of_functions():
    good, bad, _ = (node for node in ast.walk(SAMPLE.tree) if isinstance(node, Function))
    assert (length(good), length(bad)) == (2, 1)
    assert [arg.arg for arg in arguments(good)] == ["x", "flag", "rest"]
    assert [arg.annotation for arg in arguments(bad)] == [None]


def test_docstrings_and_unwanted_are_found():
    assert undocumented(SAMPLE) == (["sample.py:4 A", "sample.py:6 C", "sample.py:9 bad"], 5)
    assert set(unwanted(SAMPLE)) == {"sample.py:2 import *", "sample.py:9 eval(", "sample.py:10 global z"}


def test_copies_are_counted_once_and_past_spacing():
    lines = [f"a{i} = {i}" for i in range(6)]
    once, again = parse("a.py", "\n".join(lines)), parse("b.py", "b = 0\n# note\n" + "\n\n".join(lines) + "\nc = 1")
    assert copied([once, again]) == (6 / 14, ["b.py:3 copies a.py:1"])
    assert copied([once]) == (0.0, [])
