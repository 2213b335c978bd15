"""The command lines of `bad_inputs.txt`: refused in words, or carried out with weights that are finite."""

import shlex
from pathlib import Path

import pytest

from tests.chaos import child, state

TABLE = Path(__file__).with_name("bad_inputs.txt")
FINE, EITHER, REFUSED = "+", "?", "-"

pytestmark = pytest.mark.chaos(quick=20)


def rows(text):
    """What is expected of each line, and the line with the beginning of its part."""
    base = ""
    for line in text.splitlines():
        if line.startswith("["):
            base = line.strip("[]")
        elif line and not line.startswith("#"):
            expected, _, rest = line.partition(" ") if line[:2] in ("+ ", "? ") else (REFUSED, "", line)
            yield expected, f"{base} {rest}"


def arguments(line, names):
    """A line as the list that a shell makes of it; what it says twice is said once, as it was said last."""
    given = {}
    for word in _split(line):
        key, equals, _ = word.partition("=")
        given[key if equals else word] = word.format(**names)
    return list(given.values())


def _split(line):
    try:
        return shlex.split(line)
    except ValueError:  # a quote without an end, as can be typed when it is escaped
        return line.split()


@pytest.fixture(scope="session")
def names(made, tmp_path_factory):
    """The names in braces."""
    files = tmp_path_factory.mktemp("files")
    umaze = "#####\n#...#\n###.#\n#s..#\n#####\n"
    for name, text in {
        "empty.pt": "", "empty.npz": "", "empty.yaml": "", "text.pt": "no checkpoint", "text.npy": "no motion",
        "code.txt": "cposix\nsystem\n(S'true'\ntR.", "list.yaml": "- 5\n- [a]\n",
        "missing.yaml": "clips: [{file: x.npz}]",
        "weights.yaml": "clips: [{file: walk.npz, weight: nan}]", "empty.txt": "", "letters.txt": "hello\nworld\n",
        "closed.txt": "###\n###\n###\n", "huge.txt": ("#" * 200 + "\n") + ("#" + "." * 198 + "#\n") * 198 + "#" * 200,
        "crlf.txt": umaze.replace("\n", "\r\n"), "blanks.txt": umaze.replace("\n", "  \n"), "comma,a.txt": umaze,
        "dollar${x}.txt": umaze,
    }.items():  # fmt: skip
        (files / name).write_text(text, newline="")
    runs = {"taxi": "TaxiFuel", "amp": "HumanoidAMP", "maze": "HumanoidHRLMaze", "ant": "AntMaze"}
    found = {name: made(task) for name, task in runs.items()}
    return found | {"skill": found["amp"] / "skill.pt", "files": files}


@pytest.mark.parametrize(("expected", "line"), rows(TABLE.read_text(encoding="utf-8")))
def test_a_command_line(expected, line, names, tmp_path, tally):
    cwd = tmp_path / "cwd"
    code, output = child.finished(cwd, arguments(line, names))
    if expected == REFUSED or (expected == EITHER and code != 0):
        wrong = state.refusal(code, output)
        assert not wrong, wrong
    else:
        assert code == 0, output
    wrong = state.spoilt(cwd)
    assert not wrong, wrong
