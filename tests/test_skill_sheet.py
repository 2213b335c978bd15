"""The contact sheet of the shipped skill."""

import json

import imageio.v3 as imageio
import pytest

from benchmarks.skill_sheet import SIZE, main
from isaachrl.errors import RenderError, SkillError
from tests.tiny_skill import make_tiny_skill


def test_the_sheet_has_a_row_a_command_and_its_stills(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    try:
        main([str(out), "motions=stand,jog", "stills=2"])
    except RenderError:
        pytest.skip("no renderer here")
    assert imageio.imread(out).shape == (2 * SIZE[1], 2 * SIZE[0], 3)
    assert json.loads(capsys.readouterr().out)["rows"] == ["stand", "jog"]


def test_an_unknown_motion_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(SkillError, match="did you mean walk"):
        main([str(tmp_path / "sheet.png"), "motions=wallk"])


def test_a_skill_that_gets_up_is_shown_from_the_floor(tmp_path, capsys):
    skill = make_tiny_skill(latent_size=0)
    skill.contract.training["task"] = "HumanoidRise"
    skill.save(tmp_path / "rise.pt")
    out = tmp_path / "sheet.png"
    try:
        main([str(out), f"skill={tmp_path / 'rise.pt'}", "bodies=3", "stills=2"])
    except RenderError:
        pytest.skip("no renderer here")
    assert imageio.imread(out).shape == (3 * SIZE[1], 2 * SIZE[0], 3)
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 3
