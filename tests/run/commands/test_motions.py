"""Clips shown without a policy: what is measured and what is drawn of them."""

import json
from concurrent.futures import Future
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

import tasks
from isaachrl.run.commands import motions as motion_viewer
from isaachrl.run.config import settings
from isaachrl.run.recording.stills import Stills

assert tasks


def look(**typed):
    values = {"mode": "play", "device": "cpu", "run_dir": "look", "motion": "walk"} | typed
    sections = {"task": {"name": "HumanoidAMP"}, "train": {"name": "greedy"}}
    return motion_viewer.view_motions(settings.resolve(settings.merge(sections, values), values))


def test_the_checks_of_a_clip_are_printed_and_kept(capsys):
    summary = look(motion="builtin", video=False)
    assert summary["clips"]["walk"]["speed_m_s"] == pytest.approx(1.007, abs=0.001)
    assert summary["video"] is None and summary["sheet"] is None
    assert json.loads(Path("look/motions.json").read_text()) == json.loads(json.dumps(summary))
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("│ back "))
    assert "-0.60" in row, "a clip a line, whatever the width of the output"
    assert [path.name for path in Path("look").iterdir()] == ["motions.json"]


def test_the_stage_is_closed_when_filming_fails(monkeypatch):
    closed, shown = [], []

    class Broken:
        """A stage whose second picture fails."""

        size, behind = (64, 64), 0

        def __init__(self, scene):
            pass

        def restart(self):
            pass

        def draw(self, qpos, mocap_pos_w):
            picture = Future()
            picture.set_result(np.zeros((64, 64, 3), np.uint8))
            shown.append(picture)
            return picture if len(shown) < 2 else 1 / 0

        def close(self):
            closed.append(self)

    monkeypatch.setattr(motion_viewer, "Stage", Broken)
    monkeypatch.setattr(Stills, "add", lambda *_: pytest.fail("nobody looks at stills of a motion's film"))
    with pytest.raises(ZeroDivisionError):
        look()
    assert len(closed) == 1 and list(Path("look").glob("*.mp4")) == []


def test_a_film_and_a_sheet_of_stills(monkeypatch):
    monkeypatch.setattr(motion_viewer, "VIDEO_S", 0.2)
    monkeypatch.setattr(motion_viewer, "CLIP_S", (0.1, 0.2))
    summary = look()
    assert len(list(iio.imiter(summary["video"]))) == 6
    sheet = iio.imread(summary["sheet"])
    assert sheet.shape[:2] == (120, 140 + 12 * 80)
    stills = [sheet[:, 140 + 80 * i : 220 + 80 * i, :3].astype(float) for i in range(12)]
    assert all(still.std() > 10 for still in stills)
    assert abs(stills[0] - stills[3]).mean() > 1, "the body moves"
