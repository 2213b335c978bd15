"""`mode=import`: the row that is printed, what is written, and what is refused."""

import json
from pathlib import Path

import pytest
import torch

import tasks
from isaachrl.errors import ClipError, ConfigError
from isaachrl.motion.sources import load_motion
from isaachrl.run.commands import import_motions
from isaachrl.run.config import settings
from isaachrl.run.config.run_cfg import Mode
from isaachrl.run.recording import beside
from isaachrl.sim import load_robot
from tests.motion.foreign import walk, write_bvh

assert tasks
KEYS = {
    "clip", "verdict", "frames", "seconds", "slip_m", "penetration_m", "key_body_error_m", "peak_speed_rad_s"
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("mink")


@pytest.fixture
def mink(tmp_path, monkeypatch):
    """The library, and an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return pytest.importorskip("mink", reason='mink is not installed: pip install -e ".[motions]"')


def run(**typed):
    values = {"mode": "import", "device": "cpu", "run_dir": "out", "video": False} | typed
    sections = {"task": {"name": "HumanoidAMP"}, "train": {"name": "greedy"}}
    made = settings.resolve(settings.merge(sections, values), values)
    assert made.run.mode is Mode["import"]
    return import_motions.import_motions(made)


@pytest.fixture
def no_pictures(monkeypatch):
    """Pictures take their time; one test draws them."""
    monkeypatch.setattr(import_motions, "strip", lambda made, body: b"PNG")


def test_a_file_becomes_a_clip_and_a_line_of_json(no_pictures, capsys):
    write_bvh(Path("mine.bvh"), walk(60))
    row = run(motion="mine.bvh", source={"clip_fps": 30.0})
    assert row["verdict"] == "imitable" and set(row) >= KEYS and row["frames"] == 30
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == json.loads(Path("out/import.json").read_text()) == json.loads(json.dumps(row))
    (clip,), _ = load_motion("out/mine.npz", load_robot("humanoid"))
    assert clip.num_frames == 30 and any("up is y" in note for note in row["notes"])
    assert sorted(path.name for path in Path("out").iterdir()) == ["import.json", "mine.npz", "mine.png"]


def test_a_folder_is_imported_as_far_as_it_can_be(no_pictures, capsys):
    folder = Path("in")
    folder.mkdir()
    write_bvh(folder / "a.bvh", walk(30))
    write_bvh(folder / "b.bvh", walk(30), mirrored=True)
    (folder / "c.bvh").write_text("HIERARCHY")
    (folder / "LICENSE.txt").write_text("terms")
    summary = run(motion="in", source={"clip_fps": 30.0})
    assert (summary["imitable"], summary["doubtful"], summary["refused"]) == (1, 0, 2)
    assert [row["name"] for row in summary["clips"]] == ["a", "b", "c"]
    assert "mirrored" in summary["clips"][1]["reason"] and summary["clips"][1]["clip"] is None
    clips, _ = load_motion("out", load_robot("humanoid"))
    assert [clip.name for clip in clips] == ["a"]


def test_what_is_refused_lies_apart(no_pictures):
    raw = walk(140)
    raw.root_pos[20:120, 2] += (
        0.6 * torch.linspace(0.0, torch.pi, 100, dtype=torch.float64).sin()
    )  # for 1.6 s in the air
    write_bvh(Path("high.bvh"), raw)
    row = run(motion="high.bvh", source={"clip_fps": 30.0})
    assert row["verdict"] == "refused" and "air_s" in row["reason"]
    assert Path(row["clip"]) == Path("out/refused/high.npz") and Path("out/refused/high.npz").exists()
    with pytest.raises(ClipError, match="out holds no clips"):
        load_motion("out", load_robot("humanoid"))


def test_a_shipped_clip_for_another_robot(no_pictures):
    row = run(motion="start", robot="g1", source={"clip_fps": 20.0, "end_s": 1.5})
    assert row["verdict"] == "imitable"
    (clip,), _ = load_motion("out/start.npz", load_robot("g1"))
    assert clip.fps == 20.0


def test_the_name_of_a_list_stands_for_its_files():
    files = [entry.file for entry in import_motions._entries("locomotion")]
    assert len(files) == 11 and all(file.is_file() and file.suffix == ".npz" for file in files)


def test_a_list_takes_parts_of_files(no_pictures):
    write_bvh(Path("long.bvh"), walk(90))
    parts = ("end_s: 0.5", "start_s: 0.5, end_s: 1.0", "start_s: 9")
    Path("parts.yaml").write_text("".join(f"- {{file: long.bvh, {part}}}\n" for part in parts))
    summary = run(motion="parts.yaml", source={"clip_fps": 30.0, "start_s": 0.2})
    first, second, none = summary["clips"]
    assert (first["name"], second["name"]) == ("long", "long_2") and Path("out/long_2.npz").exists()
    assert (first["frames"], second["frames"]) == (10, 16), "from 0.2 s, which was typed, and from 0.5 s"
    assert "start_s=9 end_s=None" in none["reason"] and "leave 0 of 90 frames" in none["reason"]
    assert not Path("out/motions.yaml").exists()  # the list says no more than its files


def test_the_weights_of_a_list_are_kept(no_pictures):
    write_bvh(Path("one.bvh"), walk(40))
    write_bvh(Path("two.bvh"), walk(40))
    listed = "- {file: one.bvh, weight: 2.5}\n- {file: lost.bvh, weight: 7}\n- {file: two.bvh, command: false}\n"
    Path("some.yaml").write_text(listed)
    run(motion="some.yaml", source={"clip_fps": 30.0})
    clips, weights = load_motion("out", load_robot("humanoid"))
    assert [(clip.name, clip.command) for clip in clips] == [("one", True), ("two", False)] and weights == [2.5, 1.0]
    write_bvh(Path("three.bvh"), walk(40))
    run(motion="three.bvh", source={"clip_fps": 30.0})  # another one into the same folder
    assert load_motion("out", load_robot("humanoid"))[1] == [2.5, 1.0, 1.0]
    assert [(entry.weight, entry.command) for entry in import_motions._entries("out")][:2] == [
        (2.5, True),
        (1.0, False),
    ]


def test_bad_calls():
    with pytest.raises(ConfigError, match="mode=import needs a file or a folder: type motion=FILE"):
        run()
    with pytest.raises(ConfigError, match="unknown key source.axis"):
        run(motion="walk", source={"axis": "y"})
    with pytest.raises(ClipError, match="no motion 'wlk'"):
        run(motion="wlk")
    write_bvh(Path("mine.bvh"), walk(30))
    with pytest.raises(ClipError, match=r"mine is refused: the legs are 83.1 m long"):
        run(motion="mine.bvh", source={"unit": "m"})


def test_robot_and_skeleton_are_drawn_side_by_side(monkeypatch):
    monkeypatch.setattr(beside, "STILLS", 2)
    monkeypatch.setattr(beside, "STILL_SIZE", (96, 96))
    monkeypatch.setattr(beside, "FILM_SIZE", (96, 96))
    monkeypatch.setattr(beside, "FILM_S", 0.2)
    import imageio.v3 as iio

    write_bvh(Path("mine.bvh"), walk(30))
    row = run(motion="mine.bvh", source={"clip_fps": 30.0}, video=True)
    if row["sheet"] is None:
        pytest.skip("no OpenGL works here")
    sheet = iio.imread(row["sheet"])[24:, :, :3].astype(float)
    green = (sheet[..., 1] > sheet[..., 0] + 20) & (sheet[..., 1] > sheet[..., 2] + 10)
    assert sheet.shape == (96, 192, 3) and green[:, :96].sum() > 30 and green[:, 96:].sum() > 30
    assert len(list(iio.imiter(row["video"]))) == 6
