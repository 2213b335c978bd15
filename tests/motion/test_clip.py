import os

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


@pytest.mark.parametrize(
    ("pos", "message"),
    [([[0, 0, 1]], "at least 2 frames"), ([[0, 0, 1], [0, np.nan, 1]], "not finite"), ([[0, 0]] * 3, "has shape")],
)
def test_broken_numbers_are_refused(make_clip, pos, message):
    with pytest.raises(ClipError, match=message):
        make_clip(pos)
