"""The contact sheet of the shipped skill."""

import json

import imageio.v3 as imageio
import pytest

from benchmarks.skill_sheet import SIZE, main
from isaachrl.errors import RenderError, SkillError


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
