"""The benchmark of impulses: J80, forces and times by hand, its directions on a small batch, its command line."""

import io
import json
import math

import pytest
import torch
from rich.console import Console
from torch.testing import assert_close

from benchmarks import perturb

IMPULSES = [0.0, 10.0, 20.0, 30.0]


@pytest.mark.parametrize(
    ("success", "expected"),
    [
        ([1.0, 1.0, 0.6, 0.0], 15.0),  # half-way from 1 to .6
        ([1.0, 0.8, 0.0, 1.0], 10.0),  # the first time counts
        ([0.9, 0.7, 0.0, 0.0], 5.0),
        ([0.7, 0.7, 1.0, 1.0], 0.0),
        ([0.7, 1.0, 0.8, 0.8], None),  # only impulses above 0 fail
    ],
)
def test_j80_by_hand(success, expected):
    assert perturb.j80(IMPULSES, success) == (None if expected is None else pytest.approx(expected))


def test_forces_last_a_tenth_of_a_second_and_point_from_the_heading_to_the_left():
    impulses = perturb.Impulses(torch.tensor([0.0, math.pi / 2]), torch.tensor([50.0, 80.0]), torch.tensor([4, 6]))
    yaw = torch.tensor([math.pi / 2, 0.0])
    forces = torch.stack([impulses.force_w(step, yaw) for step in range(11)])
    assert forces.norm(dim=-1).T.tolist() == [[0.0] * 4 + [50.0] * 3 + [0.0] * 4, [0.0] * 6 + [80.0] * 3 + [0.0] * 2]
    assert_close(forces[6], torch.tensor([[0.0, 50.0, 0.0], [0.0, 80.0, 0.0]]), atol=1e-4, rtol=0)


def test_bodies_are_compared_with_those_without_an_impulse():
    mean_h = torch.tensor([[1.0, 0.0], [1.2, 0.0], [1.1, 0.25], [1.5, 0.0]])  # the first two have none
    assert perturb.unlike_others(mean_h, (1, 2, 2)).tolist() == [False, False, False, True]


def test_bodies_are_watched_for_a_time_of_their_own():
    watch = perturb.Watch(5, 4, torch.device("cpu"))
    begin = torch.tensor([1, 1, 3, 3, 3])
    low_at = [{0, 5}, {4}, set(), set(), {3}]  # before and after the watch of the first body
    odd_at = [{0, 1, 2, 5}, {2}, {3, 6}, set(), {3}]
    for step in range(7):
        low, odd = (torch.tensor([step in at for at in table]) for table in (low_at, odd_at))
        watch.update(step - begin, low, low, odd, torch.full((5, 2), float(step**2)))
    without, rescued = (watch.outcome((1, 1, 5), 0.1, has_rescue) for has_rescue in (False, True))
    assert without.success.flatten().tolist() == [True, False, True, True, False]
    assert rescued.success.flatten().tolist() == [True, False, True, True, True], "the last one rose"
    nan = math.nan  # the second fell, the third is unlike the others at the end
    assert_close(rescued.recovery_s.flatten(), torch.tensor([0.2, nan, nan, 0.0, 0.1]), equal_nan=True)
    assert without.recovery_s.isnan().flatten().tolist() == [False, True, True, False, True]
    assert without.change_h[0, 0, :, 0].tolist() == [9.0, 9.0, 21.0, 21.0, 21.0]  # 3² - 0², 5² - 2²


def test_impulses_change_the_velocity_in_their_direction(monkeypatch):
    monkeypatch.setattr(perturb, "FIRST_PUSH", 5)
    monkeypatch.setattr(perturb, "LAST_PUSH", 10)
    options = perturb.Options(bodies=2, seconds=0.4, largest=40.0, step=40.0)
    outcome = perturb.push(options)
    assert outcome.success.shape == (4, 2, 2) and outcome.success.all()
    assert outcome.recovery_s[:, 0].isfinite().all()
    found = perturb.summary(outcome, options.impulses)
    assert {(entry["j80"], entry["j80_at_least"]) for entry in found.values()} == {(None, 40.0)}
    change = {name: torch.tensor(entry["velocity_change_mps"]).diff(dim=0)[0] for name, entry in found.items()}
    assert change["from the back"][0] > 0.3 and change["from the front"][0] < -0.3
    assert change["from the right"][1] > 0.3 and change["from the left"][1] < -0.3, "y is to the left"


def test_the_result_is_valid_json_and_a_table(tmp_path, capsys, monkeypatch):
    success = torch.tensor([True, False]).view(1, 2, 1).expand(4, 2, 1)
    outcome = perturb.Outcome(success, torch.where(success, 0.5, math.nan), torch.zeros(4, 2, 1, 2))
    monkeypatch.setattr(perturb, "push", lambda options: outcome)
    assert perturb.main([str(tmp_path / "out.json"), "largest=10", "step=10", "bodies=1"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out, parse_constant=pytest.fail)
    assert found == json.loads((tmp_path / "out.json").read_text())
    assert found["from the left"]["recovery_s"] == [0.5, None] and found["from the left"]["recovered"] == [1.0, 0.0]
    assert found["from the left"]["j80"] == 2.0 and found["from the left"]["j80_at_least"] is None
    assert "100%  0.5 s" in printed.err and "J80" in printed.err


def test_the_table_says_where_the_largest_impulse_is_borne():
    entry = {"success": [1.0], "recovery_s": [math.nan], "j80": None, "j80_at_least": 0.0}
    console = Console(file=io.StringIO(), width=80)
    console.print(perturb.table({"from the back": entry}, [0.0]))
    assert ">= 0" in console.file.getvalue() and "nan" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no arguments: expected the file to write first; type python"),
        (["bodies=2"], "bodies=2: expected the file"),
        (["missing/out.json"], "type mkdir -p"),
        (["out.json", "bodies"], "bodies: expected key=value"),
        (["out.json", "heavy=1"], "unknown key heavy"),
        (["out.json", "seconds=0"], "type seconds=5"),
        (["out.json", "step=-1"], "type step=10"),
        (["out.json", "bodies=many"], "bodies: "),
        (["out.json", "largest=5"], "expected at most largest=5; type step=5"),
    ],
)
def test_bad_command_lines_are_answered_with_what_to_type(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert perturb.main(words) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())
