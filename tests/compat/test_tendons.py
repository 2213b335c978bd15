"""Fixed tendons against the backward Euler step of their springs, on both engines."""

import pytest
import torch

from isaachrl.compat.isaacgym import gymtorch
from isaachrl.errors import ConfigError
from tests.compat.scenes import GYM, fill, load, new_sim, transform

unwrap = gymtorch.unwrap_tensor
pytestmark = pytest.mark.usefixtures("each_engine")
SLIDES = """<mujoco><worldbody><body name="base"><geom size=".05" mass="1"/>
<body name="a"><joint name="x" type="slide" axis="1 0 0"/><inertial pos="0 0 0" mass="2" diaginertia="1 1 1"/></body>
<body name="b"><joint name="y" type="slide" axis="0 1 0"/><inertial pos="0 0 0" mass="3" diaginertia="1 1 1"/></body>
</body></worldbody><tendon><fixed name="t" limited="true" range="-0.1 0.1"><joint joint="x" coef="1"/></fixed>
<spatial name="s"><site site="p"/><site site="q"/></spatial></tendon></mujoco>"""
SLIDES = SLIDES.replace('<body name="a">', '<site name="p"/><site name="q" pos="1 0 0"/><body name="a">')
H = 0.01


def test_springs_dampers_and_limits_are_backward_euler(tmp_path):
    """Four worlds: a limit, a stiff limit, a spring with a damper, none at all."""
    scene = new_sim(gravity=0.0, dt=H)
    asset = load(scene, tmp_path, SLIDES, fix_base_link=True, tendon_limit_stiffness=50.0)
    assert GYM.get_asset_tendon_count(asset) == 1 and GYM.get_asset_tendon_name(asset, 0) == "t"
    assert GYM.get_asset_fixed_tendon_joint_coefficients(asset, 0) == [1.0]
    fill(scene, [(asset, transform(), None, 0)], 4)
    values = [{}, {"limit_stiffness": 1e6}, {"limit_stiffness": 0.0, "stiffness": 400.0, "damping": 30.0}, {}]
    values[2]["fixed_spring_rest_length"], values[3]["is_fixed_limited"] = 0.05, False
    for env, changes in zip(scene.envs, values, strict=True):
        props = GYM.get_actor_tendon_properties(env, 0)
        assert (props[0].limit_stiffness, props[0].fixed_upper_limit, props[0].num_joints) == (50.0, 0.1, 1)
        for name, value in changes.items():
            setattr(props[0], name, value)
        GYM.set_actor_tendon_properties(env, 0, props)
    scene.prepare()
    state = scene.wrap("dof_state").view(4, 2, 2)
    state[:] = torch.tensor([0.13, 0.5])
    GYM.set_dof_state_tensor(scene.sim, unwrap(state))
    scene.step(4)
    scene.refresh("dof_state")
    mass, springs = 2.0, ((50, 0, 0.1), (1e6, 0, 0.1), (400, 30, 0.05), (0, 0, 0))
    for found, (k, d, rest) in zip(state[:, 0], springs, strict=True):
        q, v = 0.13, 0.5
        for _ in range(4):
            implicit = (mass * v + H * k * (rest - q)) / (mass + H * d + H * H * k)
            v = implicit if d else min(v, implicit) if q > rest else v  # a limit pushes back only
            q += H * v
        assert found.tolist() == pytest.approx([q, v], abs=3e-4)
    assert torch.allclose(state[:, 1], torch.tensor([0.13 + 4 * H * 0.5, 0.5]), atol=1e-5)  # the other slide is free


def test_properties_of_other_tendons_are_refused(tmp_path):
    scene = new_sim()
    asset = load(scene, tmp_path, SLIDES, fix_base_link=True)
    with pytest.raises(ConfigError, match="0 properties came for 1 tendons"):
        GYM.set_asset_tendon_properties(asset, [])
    assert GYM.find_asset_tendon_index(asset, "s") == -1
    props = GYM.get_asset_tendon_properties(asset)
    props[0].damping = 7.0
    GYM.set_asset_tendon_properties(asset, props)
    fill(scene, [(asset, transform(), None, 0)], 1)
    assert GYM.get_actor_tendon_properties(scene.envs[0], 0)[0].damping == 7.0
    with pytest.raises(NotImplementedError, match="set_actor_tendon_offset"):
        GYM.set_actor_tendon_offset(scene.envs[0], 0, 0, 1.0)
