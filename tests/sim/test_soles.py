import mujoco
import numpy as np
import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.sim import load_robot
from isaachrl.sim.roles import Roles
from isaachrl.sim.soles import Pose, find_soles, robot_soles

FOOT = """<mujoco><asset><mesh name="brick" vertex="0 0 0 .2 0 0 0 .1 0 .2 .1 0 .1 .05 .3"/></asset>
<worldbody><body name="foot" {body}><freejoint/><geom size="1" contype="2"/>{geoms}</body></worldbody></mujoco>"""


def sole(geoms, body=""):
    model = mujoco.MjModel.from_xml_string(FOOT.format(geoms=geoms, body=body))
    return find_soles(model, Pose.of(model, model.qpos0).data, Roles({"left_foot": "foot"})).get("foot")


def near(points, *expected):
    torch.testing.assert_close(points, torch.tensor(expected), atol=1e-6, rtol=0)


def test_the_humanoid_has_two_soles_five_centimetres_under_its_ankles():
    soles = robot_soles(load_robot("humanoid"))
    assert sorted(soles) == ["left_foot", "right_foot"]
    for corners in soles.values():
        assert corners.shape == (4, 3)
        torch.testing.assert_close(corners[:, 2], torch.full((4,), -0.05))
        torch.testing.assert_close(corners.mean(0), torch.tensor([0.045, 0.0, -0.05]))
        assert len({tuple(corner) for corner in corners.tolist()}) == 4


def test_a_turned_box_has_its_lowest_face_as_sole():
    corners = sole('<geom type="box" size=".1 .2 .3" pos="1 0 0" euler="90 0 0"/>')
    # turned by 90 degrees about x: its y half size stands upright, its z half size lies along y
    near(corners.amin(0), 0.9, -0.3, -0.2)
    near(corners.amax(0), 1.1, 0.3, -0.2)


def test_round_geoms_touch_the_floor_in_their_lowest_points():
    near(sole('<geom size=".1" pos=".3 0 0"/>'), [0.3, 0.0, -0.1])
    capsule = sole('<geom type="capsule" size=".02" fromto="-.1 0 0 .2 0 0"/>')
    near(capsule[capsule[:, 0].argsort()], [-0.1, 0.0, -0.02], [0.2, 0.0, -0.02])
    near(sole('<geom type="ellipsoid" size=".3 .2 .1" euler="0 90 0"/>'), [0.0, 0.0, -0.3])
    rim = sole('<geom type="cylinder" size=".3 .1"/>')
    torch.testing.assert_close(rim[:, :2].norm(dim=-1), torch.full((len(rim),), 0.3))
    near(rim[:, 2].unique(), -0.1)


def test_a_meshs_sole_is_made_of_its_lowest_vertices():
    points = sole('<geom type="mesh" mesh="brick" pos="0 0 .5"/>')
    assert len(points) == 4 and np.ptp(points[:, 2].numpy()) < 1e-6
    torch.testing.assert_close(points.amax(0) - points.amin(0), torch.tensor([0.2, 0.1, 0.0]))


def test_the_lowest_of_all_geoms_count_and_of_what_hangs_on_the_foot():
    toe = '<body pos=".2 0 -.05"><joint axis="0 1 0"/><geom size=".05"/></body>'
    points = sole('<geom size=".095" pos="-.1 0 0"/><geom size=".05"/>' + toe)
    near(points, [-0.1, 0.0, -0.095], [0.2, 0.0, -0.1])


def test_down_is_that_of_the_standing_pose():
    # the body is turned by 90 degrees about y: its x axis points down
    near(sole('<geom size=".1"/>', 'euler="0 90 0"'), [0.1, 0.0, 0.0])


def test_a_foot_without_a_geom_that_collides_with_the_floor_has_no_sole():
    assert sole("") is None


def test_a_robot_without_feet_is_refused_with_the_lines_to_write():
    with pytest.raises(ConfigError, match="which body is its left_foot and which its right_foot.*upper_1"):
        robot_soles(load_robot("ant"))
