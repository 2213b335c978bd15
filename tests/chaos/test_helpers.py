"""What the campaign itself relies on: its tables, its changes to files, and what it takes for a sound run."""

import json
from random import Random

import pytest
import torch

from tests.chaos import crafted, mutations, state, test_bad_inputs


def test_rows_of_a_table_begin_with_the_line_in_brackets():
    text = "# a note\n[task=A]\nnum_envs=0\n+ seed=1\n\n[task=B]\n? x=1 y=2\n"
    assert list(test_bad_inputs.rows(text)) == [
        ("-", "task=A num_envs=0"),
        ("+", "task=A seed=1"),
        ("?", "task=B x=1 y=2"),
    ]


def test_a_line_is_split_as_a_shell_does_and_its_last_word_on_a_key_counts():
    line = "num_envs=2 seed=1 num_envs=0 run_dir='a b' checkpoint={taxi} x={{y}}"
    assert test_bad_inputs.arguments(line, {"taxi": "/t"}) == [
        "num_envs=0", "seed=1", "run_dir=a b", "checkpoint=/t", "x={y}",
    ]  # fmt: skip
    assert test_bad_inputs.arguments('num_envs="', {}) == ['num_envs="']


def test_changes_follow_from_the_seed_and_differ_from_the_original():
    data = bytes(range(256)) * 8
    first, again = ([mutations.mutated(data, draw) for _ in range(50)] for draw in (Random(1), Random(1)))
    assert first == again
    assert sum(change != data for change in first) >= 45, "zeros over zeros and the like alone change nothing"


def test_a_digest_tells_content_apart():
    content = {"a": [torch.zeros(2), 1], "b": "x"}
    same = {"a": [torch.zeros(2), 1], "b": "x"}
    others = [{"a": [torch.zeros(2), 1.0], "b": "x"}, {"a": [torch.tensor([0.0, -0.0]), 1], "b": "x"}, {}]
    assert mutations.digest(content) == mutations.digest(same)
    assert all(mutations.digest(content) != mutations.digest(other) for other in others)


def test_altered_copies_only_what_it_changes():
    content = {"a": {"b": 1, "c": 2}, "d": 3}
    assert crafted.altered(content, ("a", "b"), 5) == {"a": {"b": 5, "c": 2}, "d": 3}
    assert crafted.altered(content, ("a",), crafted.REMOVED) == {"d": 3}
    assert content == {"a": {"b": 1, "c": 2}, "d": 3}


@pytest.mark.parametrize(
    ("code", "output", "clean"),
    [
        (2, "ConfigError: type x\n", True),
        (2, "12:00:00 a line\nConfigError: type x\n", True),
        (2, "Traceback (most recent call last):\nConfigError: x\n", False),
        (2, "", False),
        (1, "ConfigError: type x\n", False),
        (0, "", False),
        (None, "ConfigError: type x\n", False),
    ],
)
def test_a_refusal_is_code_2_and_one_error(code, output, clean):
    assert (state.refusal(code, output) == "") is clean


def test_faults_of_a_run_folder_are_found(tmp_path):
    lines = "".join(json.dumps({"iteration": number}) + "\n" for number in (1, 2, 4))
    (tmp_path / "metrics.jsonl").write_text(lines + '{"iteration": 5')
    (tmp_path / ".last.pt.abcdefgh.tmp").touch()
    torch.save({"learner_state": {"actor": {"w": torch.tensor([1.0, float("nan")])}, "n": 1}}, tmp_path / "x.pt")
    assert state.iterations(tmp_path) == [1, 2, 4]
    assert state.whole(tmp_path) == ["leftover .last.pt.abcdefgh.tmp", "metrics have the iterations [1, 2, 4]"]
    assert state.spoilt(tmp_path) == ["x.pt.actor.w"]
