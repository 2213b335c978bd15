import io
import os
import warnings
import zipfile

import numpy as np
import pytest

from isaachrl.errors import ClipError
from isaachrl.motion import clip as clip_module


def test_save_and_load_give_the_same_clip(make_clip, tmp_path):
    clip = make_clip([[0, 0, 1], [1, 2, 1], [3, 3, 1]], yaw=[0, 0.3, 0.5], elbow=[0, -1, -2], fps=25.0, loop=True)
    clip.save(tmp_path / "jump.npz")
    back = clip_module.load(tmp_path / "jump.npz")
    assert (back.name, back.fps, back.loop, back.duration_s) == ("jump", 25.0, True, 2 / 25)
    assert back.joint_names == clip.joint_names and back.body_names == clip.body_names
    for field in ("root_pos_w", "root_quat_w", "joint_quat"):
        np.testing.assert_array_equal(getattr(back, field), getattr(clip, field))
    assert os.listdir(tmp_path) == ["jump.npz"], "no temporary file stays behind"


def test_quaternions_are_made_continuous_and_of_unit_length(make_clip):
    clip = make_clip([[0, 0, 1]] * 3, yaw=[0, 0.1, 0.2])
    flipped = clip.root_quat_w * np.array([[2.0], [-3.0], [1.0]])
    again = clip_module.replace(clip, root_quat_w=flipped)
    np.testing.assert_allclose(again.root_quat_w, clip.root_quat_w, atol=1e-6)


class _Trap:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickled_field_is_refused_and_not_run(make_clip, tmp_path):
    marker = tmp_path / "ran"
    trap = np.empty((), dtype=object)
    trap[()] = _Trap(marker)
    np.savez(tmp_path / "bad.npz", **dict.fromkeys(clip_module._FIELDS, trap))
    with pytest.raises(ClipError, match=r"bad\.npz cannot be read as a motion clip"):
        clip_module.load(tmp_path / "bad.npz")
    assert not marker.exists()


def test_a_file_of_something_else_is_refused_by_what_it_lacks(tmp_path):
    np.savez(tmp_path / "other.npz", fps=30.0, loop=False)
    with pytest.raises(ClipError, match="lacks joint_names, body_names, root_pos_w, root_quat_w, joint_quat"):
        clip_module.load(tmp_path / "other.npz")


FAULTS = {
    "name": [None, 5],
    "fps": [None, "x", 60j, [60.0], np.ones(2), True, np.nan, np.inf, 0.0, -1.0, 1e-300, 1e300, 10**400],
    "joint_names": [None, "abdomen", 5, [1] * 12, ["\x1b[2J"] * 12, ["n" * 1000] * 12, ["n"] * 10_000],
    "body_names": [None, np.array("pelvis"), np.ndarray(10**12, "U0"), np.array([["pelvis"]])],
    "root_pos_w": [None, "x", 1.0, [["a", "b", "c"]] * 3, np.zeros((3, 3), complex), [[0], [0, 0]],
                   np.full((3, 3), 1e30), np.full((3, 3), 1e300), [[0, 0, 0], [1000, 0, 0], [0, 0, 0]],
                   np.zeros((3, 3), bool), np.zeros((3, 3), object)],
    "root_quat_w": [None, np.zeros((3, 4)), np.full((3, 4), 1e30), np.full((3, 4), np.nan), np.ones((3, 3))],
    "joint_quat": [None, np.zeros((3, 12, 4)), np.ones((3, 11, 4)), np.ones((3, 12, 4), "M8[s]"), np.ones(4)],
    "loop": [None, "no", [True], np.ones(2, bool), 2, 0.5],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "case"), [(field, case) for field, values in FAULTS.items() for case in range(len(values))]
)
def test_fields_of_another_kind_are_refused(make_clip, field, case):
    clip = make_clip([[0, 0, 1]] * 3)
    with pytest.raises(ClipError, match=field) as error:
        clip_module.replace(clip, **{field: FAULTS[field][case]})
    assert len(str(error.value)) < 500


def fields(clip, **changed):
    return {field: getattr(clip, field) for field in clip_module._FIELDS} | changed


@pytest.mark.parametrize("field", clip_module._FIELDS)
def test_files_with_fields_of_another_kind_are_refused(make_clip, tmp_path, field):
    clip = make_clip([[0, 0, 1]] * 3)
    for value in (np.array("text"), np.array(1j), np.array(np.nan), np.ones(2), np.ones((2, 2))):
        np.savez(tmp_path / "odd.npz", **fields(clip, **{field: value}))
        with pytest.raises(ClipError, match=field):
            clip_module.load(tmp_path / "odd.npz")


def test_a_file_that_expands_is_refused_before_it_does(make_clip, tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for field in clip_module._FIELDS:
            archive.writestr(f"{field}.npy", b"\0" * (1 << 20))
    monkeypatch.setattr(clip_module, "MAX_BYTES", (7 << 20) - 1)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(ClipError, match=r"bomb.npz is refused: it is too large for one motion"):
        clip_module.load(path)


def test_endless_texts_of_no_length_are_refused(make_clip, tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<U0", "fortran_order": False, "shape": (10**12,)})
    np.savez(tmp_path / "endless.npz", **fields(make_clip([[0, 0, 1]] * 3), joint_names=0))
    with zipfile.ZipFile(tmp_path / "endless.npz", "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the name stands twice
        archive.writestr("joint_names.npy", header.getvalue())
    with pytest.raises(ClipError, match="joint_names must be a list of at most"):
        clip_module.load(tmp_path / "endless.npz")


def test_a_member_is_read_to_its_end(make_clip, tmp_path):
    make_clip([[0, 0, 1]] * 3).save(tmp_path / "whole.npz")
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "more.npz", "w") as more:
        for name in whole.namelist():
            more.writestr(name, whole.read(name) + (b"more" if name == "fps.npy" else b""))
    with pytest.raises(ClipError, match="there is more in fps than its header says"):
        clip_module.load(tmp_path / "more.npz")


def test_a_motion_may_be_long_but_not_endless(make_clip, monkeypatch):
    clip = make_clip([[0, 0, 1]] * 3)
    monkeypatch.setattr(clip_module, "MAX_BYTES", 2 * 4 * (7 + 4 * 12))
    with pytest.raises(ClipError, match="at most 2; got 3"):
        clip.renamed("again")


@pytest.mark.parametrize(
    ("pos", "message"),
    [([[0, 0, 1]], "at least 2 frames"), ([[0, 0, 1], [0, np.nan, 1]], "not finite"), ([[0, 0]] * 3, "has shape")],
)
def test_broken_numbers_are_refused(make_clip, pos, message):
    with pytest.raises(ClipError, match=message):
        make_clip(pos)
