"""The benchmark of impulses: J80 by hand, and its directions on a small batch."""

import json

import pytest
import torch

from benchmarks import perturb


@pytest.mark.parametrize(
    ("success", "expected"),
    [
        ([1.0, 1.0, 0.6, 0.0], 15.0),  # half-way from 1 to .6
        ([0.7, 1.0, 1.0, 1.0], 0.0),
        ([1.0, 0.9, 0.8, 0.8], 30.0),
        ([1.0, 0.8, 0.0, 1.0], 10.0),  # the first time counts
    ],
)
def test_j80_by_hand(success, expected):
    assert perturb.j80([0.0, 10.0, 20.0, 30.0], success) == pytest.approx(expected)


def test_impulses_move_bodies_in_their_direction(tmp_path, capsys):
    options = perturb.DEFAULTS | {"bodies": "2", "seconds": "0.4"}
    outcome = perturb.push(options, [0.0, 20.0])
    assert outcome.success.shape == (4, 2, 2) and outcome.success.all()
    assert (outcome.recovery_s[:, 1] >= outcome.recovery_s[:, 0]).all()
    found = perturb.summary(outcome, [0.0, 20.0])
    assert {entry["j80"] for entry in found.values()} == {20.0}
    assert perturb.main([str(tmp_path / "out.json"), "bodies"]) == 2
    assert perturb.main([str(tmp_path / "out.json"), "heavy=1"]) == 2
    assert "there are skill" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert json.loads(json.dumps(found)) == found
    assert not torch.isnan(outcome.recovery_s).any()
