"""The verdict on made-up skills, and the measure that tells a collapsed one: the thresholds, the order, the words."""

from pathlib import Path

import pytest
import torch

from isaachrl.run.card.measures import mutual_information, speed_error
from isaachrl.run.card.verdict import COLLAPSED, CONVERGED, THRESHOLDS, UNDERTRAINED, compare

GOOD = {
    "falls": {"changing_commands": 0.0},
    "command_information": 0.96,
    "recall": 0.97,
    "coverage": 1.0,
    "speed_error": 0.12,
}


def verdict(**changes):
    return compare(GOOD | changes)[0]


def test_measured_skills_get_the_verdict_that_their_training_says():
    """What 102 rollouts measured of the shipped skills, and of one training after 14, 11, 6.5, 3.3 million samples."""
    rows = [
        (CONVERGED, 0.01, 0.96, 0.97, 1.0, 0.12), (CONVERGED, 0.01, 0.93, 0.88, 0.88, 0.11),
        (UNDERTRAINED, 0.0, 0.84, 0.68, 0.82, 0.21), (UNDERTRAINED, 0.02, 0.76, 0.52, 0.82, 0.34),
        (UNDERTRAINED, 0.02, 0.62, 0.35, 0.65, 0.40), (UNDERTRAINED, 0.5, 0.0, 0.06, 0.12, 1.0),
    ]  # fmt: skip
    for expected, falls, information, recall, coverage, error in rows:
        found = verdict(
            falls={"changing_commands": falls}, command_information=information, recall=recall, coverage=coverage,
            speed_error=error,
        )  # fmt: skip
        assert found == expected, (falls, information, recall)


def test_a_skill_whose_commands_look_alike_is_collapsed_unless_it_falls():
    assert verdict(command_information=0.1, recall=0.1) == COLLAPSED
    assert verdict(command_information=0.1, recall=0.1, falls={"changing_commands": 0.5}) == UNDERTRAINED


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"recall": 0.7}, ["recall >= 0.8"]),
        ({"coverage": 0.5, "speed_error": 0.5}, ["coverage >= 0.8", "speed_error <= 0.25"]),
        ({"falls": {"changing_commands": 0.1}}, ["falls.changing_commands <= 0.05"]),
    ],
)
def test_every_threshold_that_is_missed_is_named(changes, named):
    found, findings = compare(GOOD | changes)
    assert found == UNDERTRAINED and len(findings) == len(THRESHOLDS)
    assert [str(finding.threshold) for finding in findings if not finding.met] == named


def test_what_a_skill_has_not_does_not_count():
    assert verdict(recall=None, command_information=None, coverage=1.0) == CONVERGED


def test_information_is_the_share_of_the_command_that_the_motion_tells():
    commanded = torch.arange(4).repeat(250)
    assert mutual_information(commanded, commanded, 4) == pytest.approx(1.0, abs=1e-3)
    # a permutation tells the command as well, although no motion is the commanded one
    assert mutual_information(commanded, (commanded + 1) % 4, 4) == pytest.approx(1.0, abs=1e-3)
    assert mutual_information(commanded, torch.zeros_like(commanded), 4) == 0.0
    # two pairs that look alike: one of two bits
    assert mutual_information(commanded, commanded // 2, 4) == pytest.approx(0.5, abs=1e-2)
    noise = torch.randint(4, commanded.shape, generator=torch.Generator().manual_seed(0))
    assert mutual_information(commanded, noise, 4) < 0.02, "chance agreement of few counts is corrected"
    assert mutual_information(commanded[:0], commanded[:0], 4) is None


def test_speeds_are_compared_where_the_clip_moves():
    rows = {
        "walk": {"speed_mps": 0.9, "turn_rate_rad_s": 0.3, "clip_speed_mps": 1.0, "clip_turn_rate_rad_s": 0.0},
        "turn": {"speed_mps": 0.2, "turn_rate_rad_s": -0.5, "clip_speed_mps": 0.0, "clip_turn_rate_rad_s": -1.0},
        "fell": {"speed_mps": None, "turn_rate_rad_s": None, "clip_speed_mps": 2.0, "clip_turn_rate_rad_s": 0.0},
    }
    assert speed_error(rows) == pytest.approx((0.1 + 0.5) / 2)
    assert speed_error({"fell": rows["fell"]}) is None


def test_the_page_of_the_documentation_has_the_table():
    page = (Path(__file__).resolve().parents[3] / "docs" / "skill_card.md").read_text(encoding="utf-8")
    rows = [f"| `{one}` | {one.verdict} | {one.reason} |" for one in THRESHOLDS]
    assert "\n".join(rows) in page
