import mujoco
import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim.soles import robot_soles, sole_corners

FOOT = """<mujoco><worldbody><body name="{name}"><freejoint/>
  <geom type="sphere" size="1"/>
  <geom type="box" size=".1 .2 .3" pos="1 0 0" euler="90 0 0" mass="1"/>
</body></worldbody></mujoco>"""


def test_the_humanoid_has_two_soles_five_centimetres_under_its_ankles():
    soles = robot_soles("humanoid")
    assert sorted(soles) == ["left_foot", "right_foot"]
    for corners in soles.values():
        assert corners.shape == (4, 3)
        torch.testing.assert_close(corners[:, 2], torch.full((4,), -0.05))
        torch.testing.assert_close(corners.mean(0), torch.tensor([0.045, 0.0, -0.05]))
        assert len({tuple(corner) for corner in corners.tolist()}) == 4


def test_a_turned_box_has_its_lowest_face_as_sole():
    corners = sole_corners(mujoco.MjModel.from_xml_string(FOOT.format(name="foot")))["foot"]
    # turned by 90 degrees about x: its y half size stands upright, its z half size lies along y
    torch.testing.assert_close(corners.amin(0), torch.tensor([0.9, -0.3, -0.2]))
    torch.testing.assert_close(corners.amax(0), torch.tensor([1.1, 0.3, -0.2]))


def test_a_model_without_feet_is_refused():
    with pytest.raises(ConfigError, match="its bodies: hand"):
        sole_corners(mujoco.MjModel.from_xml_string(FOOT.format(name="hand")))
