"""Small simulations through the API, for the tests of its contract."""

from dataclasses import dataclass, field

import torch

from isaachrl.compat.isaacgym import gymapi, gymtorch

GYM = gymapi.acquire_gym()
HINGE = """<mujoco><compiler angle="radian"/><worldbody><body name="base"><geom size=".02" mass="1"/>
<body name="arm" pos="0 0 0"><joint name="swing" axis="0 1 0"/>
<inertial pos="0 0 -0.5" mass="2" diaginertia="0.1 0.1 0.1"/></body></body></worldbody></mujoco>"""
BALL = """<mujoco><compiler angle="degree"/><worldbody><body name="base"><geom size=".02" mass="1"/>
<body name="limb"><joint name="x" axis="1 0 0" range="-30 30" limited="true"/>
<joint name="y" axis="0 1 0" range="-40 20" limited="true"/><joint name="z" axis="0 0 1" range="-10 10" limited="true"/>
<inertial pos="0 0 -0.5" mass="2" diaginertia="0.1 0.1 0.1"/></body></body></worldbody></mujoco>"""


@dataclass
class Scene:
    """A simulation and its assets."""

    sim: object
    envs: list = field(default_factory=list)

    def prepare(self):
        assert GYM.prepare_sim(self.sim)
        return self

    def wrap(self, name):
        return gymtorch.wrap_tensor(getattr(GYM, f"acquire_{name}_tensor")(self.sim))

    def refresh(self, name):
        getattr(GYM, f"refresh_{name}_tensor")(self.sim)

    def step(self, n=1):
        for _ in range(n):
            GYM.simulate(self.sim)


def transform(x=0.0, y=0.0, z=0.0, r=None):
    return gymapi.Transform(gymapi.Vec3(x, y, z), r)


def options(**values):
    result = gymapi.AssetOptions()
    result.angular_damping = 0.0
    for name, value in values.items():
        setattr(result, name, value)
    return result


def new_sim(gravity=-10.0, dt=0.01, substeps=1, ground=False, friction=1.0):
    params = gymapi.SimParams()
    params.dt, params.substeps, params.up_axis = dt, substeps, gymapi.UP_AXIS_Z
    params.gravity = gymapi.Vec3(0.0, 0.0, gravity)
    sim = GYM.create_sim(0, -1, gymapi.SIM_PHYSX, params)
    if ground:
        plane = gymapi.PlaneParams()
        plane.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        plane.static_friction = plane.dynamic_friction = friction
        GYM.add_ground(sim, plane)
    return Scene(sim)


def load(scene, tmp_path, text, suffix=".xml", **values):
    (tmp_path / f"asset{suffix}").write_text(text)
    return GYM.load_asset(scene.sim, str(tmp_path), f"asset{suffix}", options(**values))


def fill(scene, actors, num_envs=2, spacing=3.0):
    """Environments with these actors: (asset, pose, group, filter)."""
    for i in range(num_envs):
        env = GYM.create_env(scene.sim, gymapi.Vec3(-spacing, -spacing, 0), gymapi.Vec3(spacing, spacing, spacing), 2)
        for number, (asset, pose, group, bits) in enumerate(actors):
            GYM.create_actor(env, asset, pose, f"actor{number}", i if group is None else group, bits)
        scene.envs.append(env)
    return scene


def set_drives(scene, handle=0, **values):
    for env in scene.envs:
        props = GYM.get_actor_dof_properties(env, handle)
        for name, value in values.items():
            props[name] = value
        GYM.set_actor_dof_properties(env, handle, props)


def numbers(*values):
    return gymtorch.unwrap_tensor(torch.tensor(values, dtype=torch.int32))
