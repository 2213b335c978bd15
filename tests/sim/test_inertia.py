import mujoco
import numpy as np
import pytest

from isaachrl.sim.inertia import body_masses, load_robot_body

BAR = """<mujoco><worldbody>
  <body name="block"><geom type="box" size="1 1 1" mass="5"/></body>
  <body name="bar"><freejoint/>
    <geom type="sphere" size=".1" pos="1 0 0" mass="3"/>
    <geom type="sphere" size=".1" mass="1"/>
  </body>
</worldbody></mujoco>"""


def test_masses_and_centres_follow_the_names_asked_for():
    model = mujoco.MjModel.from_xml_string(BAR)
    mass, com = body_masses(model, ("bar", "block"))
    np.testing.assert_allclose(mass, [4.0, 5.0])
    np.testing.assert_allclose(com, [[0.75, 0.0, 0.0], [0.0, 0.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(body_masses(model)[0], [5.0, 4.0])


def test_a_name_the_model_lacks_is_refused():
    with pytest.raises(KeyError, match="wing"):
        body_masses(mujoco.MjModel.from_xml_string(BAR), ("wing",))


def test_the_humanoids_masses_add_up():
    body = load_robot_body("humanoid")
    assert body.mass_kg.shape == (15,)
    assert body.com_b_m.shape == (15, 3)
    assert body.mass_kg.sum() == pytest.approx(body.robot.mass_kg, rel=1e-6)
