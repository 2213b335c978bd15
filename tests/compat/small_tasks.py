"""Small tasks in the style of Isaac Gym's, which use nothing but `isaacgym`."""

import numpy as np
import torch
from isaacgym import gymapi, gymtorch
from isaacgym.torch_utils import quat_rotate_inverse, tensor_clamp, to_torch, torch_rand_float

CART = """<robot name="cart"><link name="rail"/><link name="cart"><inertial><mass value="1"/>
<inertia ixx="0.1" iyy="0.1" izz="0.1"/></inertial></link><link name="pole"><inertial><origin xyz="0 0 0.5"/>
<mass value="1"/><inertia ixx="0.08" iyy="0.08" izz="0.01"/></inertial></link>
<joint name="slide" type="prismatic"><parent link="rail"/><child link="cart"/><axis xyz="0 1 0"/>
<limit lower="-4" upper="4" effort="400" velocity="100"/></joint>
<joint name="tilt" type="continuous"><parent link="cart"/><child link="pole"/><axis xyz="1 0 0"/></joint></robot>"""
LEGS = "".join(
    f"""<body name="thigh{i}" pos="{x} {y} 0"><joint name="hip{i}" axis="{-y} {x} 0" range="-40 40"/>
    <geom type="capsule" fromto="0 0 0 {x} {y} 0" size="0.05"/><body name="foot{i}" pos="{x} {y} 0">
    <joint name="knee{i}" axis="{-y} {x} 0" range="20 100"/>
    <geom type="capsule" fromto="0 0 0 {2 * x} {2 * y} 0" size="0.05"/></body></body>"""
    for i, (x, y) in enumerate(((0.2, 0.2), (-0.2, 0.2), (-0.2, -0.2), (0.2, -0.2)))
)
MOTORS = "".join(f'<motor joint="{part}{i}" gear="10" ctrlrange="-1 1"/>' for i in range(4) for part in ("hip", "knee"))
CRAWLER = f"""<mujoco><compiler angle="degree"/><default><joint limited="true" damping="0.1" armature="0.01"/>
<geom density="200"/></default><worldbody><geom type="plane" size="1 1 1" material="none"/>
<body name="torso" pos="0 0 9"><freejoint/><geom size="0.2"/>{LEGS}</body></worldbody>
<actuator>{MOTORS}</actuator></mujoco>"""


class Task:
    """What the tasks share: a simulation, its tensors, resets."""

    DT = 1.0 / 60.0

    def __init__(self, folder, num_envs):
        self.folder, self.num_envs = folder, num_envs
        self.gym, params = gymapi.acquire_gym(), gymapi.SimParams()
        params.dt, params.substeps, params.up_axis = self.DT, 2, gymapi.UP_AXIS_Z
        params.gravity = gymapi.Vec3(0.0, 0.0, -9.81)
        self.sim = self.gym.create_sim(0, -1, gymapi.SIM_PHYSX, params)
        ground = gymapi.PlaneParams()
        ground.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        self.gym.add_ground(self.sim, ground)
        self.create_assets()
        spacing, self.envs = 2.0, []
        for i in range(num_envs):
            lower, upper = gymapi.Vec3(-spacing, -spacing, 0.0), gymapi.Vec3(spacing, spacing, spacing)
            self.envs.append(self.gym.create_env(self.sim, lower, upper, int(np.sqrt(num_envs))))
            self.create_actors(self.envs[-1], i)
        self.gym.prepare_sim(self.sim)
        self.root_tensor = self.gym.acquire_actor_root_state_tensor(self.sim)
        self.dof_tensor = self.gym.acquire_dof_state_tensor(self.sim)
        self.root, self.dof = gymtorch.wrap_tensor(self.root_tensor), gymtorch.wrap_tensor(self.dof_tensor)
        self.dof_pos, self.dof_vel = self.dof.view(num_envs, -1, 2)[..., 0], self.dof.view(num_envs, -1, 2)[..., 1]
        self.initial_root = self.root.clone()
        self.progress = torch.zeros(num_envs, dtype=torch.long)

    def asset(self, text, suffix, **values):
        (self.folder / f"asset{suffix}").write_text(text)
        options = gymapi.AssetOptions()
        for name, value in values.items():
            setattr(options, name, value)
        return self.gym.load_asset(self.sim, str(self.folder), f"asset{suffix}", options)

    def reset_idx(self, ids, actors):
        indices = gymtorch.unwrap_tensor(actors.flatten().to(torch.int32))
        self.root[actors.flatten()] = self.initial_root[actors.flatten()]
        self.gym.set_actor_root_state_tensor_indexed(self.sim, self.root_tensor, indices, actors.numel())
        first = gymtorch.unwrap_tensor(actors[:, 0].to(torch.int32).contiguous())
        self.gym.set_dof_state_tensor_indexed(self.sim, self.dof_tensor, first, len(ids))
        self.progress[ids] = 0

    def simulate(self):
        self.gym.simulate(self.sim)
        self.gym.fetch_results(self.sim, True)
        for name in ("actor_root_state", "dof_state", "force_sensor"):
            getattr(self.gym, f"refresh_{name}_tensor")(self.sim)
        self.progress += 1


class Pole(Task):
    """A cart that balances a pole by efforts."""

    def create_assets(self):
        self.cart = self.asset(CART, ".urdf", fix_base_link=True)

    def create_actors(self, env, i):
        pose = gymapi.Transform(gymapi.Vec3(0.0, 0.0, 2.0))
        handle = self.gym.create_actor(env, self.cart, pose, "cart", i, 1, 0)
        props = self.gym.get_actor_dof_properties(env, handle)
        props["driveMode"][0], props["driveMode"][1] = gymapi.DOF_MODE_EFFORT, gymapi.DOF_MODE_NONE
        props["stiffness"][:], props["damping"][:] = 0.0, 0.0
        self.gym.set_actor_dof_properties(env, handle, props)

    def reset(self, ids):
        self.dof_pos[ids] = torch_rand_float(-0.1, 0.1, (len(ids), 2), "cpu")
        self.dof_vel[ids] = 0.0
        self.reset_idx(ids, ids.unsqueeze(1))

    def step(self, force):
        efforts = torch.zeros(self.num_envs, 2)
        efforts[:, 0] = force
        self.gym.set_dof_actuation_force_tensor(self.sim, gymtorch.unwrap_tensor(efforts))
        self.simulate()
        return torch.cat((self.dof_pos, self.dof_vel), -1)


class Crawler(Task):
    """Four legs with motors and force sensors at the feet."""

    def create_assets(self):
        self.crawler = self.asset(CRAWLER, ".xml", angular_damping=0.0)
        for i in range(4):
            body = self.gym.find_asset_rigid_body_index(self.crawler, f"foot{i}")
            self.gym.create_asset_force_sensor(self.crawler, body, gymapi.Transform())
        self.gears = to_torch(
            [p.motor_effort for p in self.gym.get_asset_actuator_properties(self.crawler)], device="cpu"
        )

    def create_actors(self, env, i):
        self.gym.create_actor(env, self.crawler, gymapi.Transform(gymapi.Vec3(0.0, 0.0, 0.5)), "crawler", i, 1, 0)

    def reset(self, ids):
        props = self.gym.get_asset_dof_properties(self.crawler)
        lower, upper = (to_torch(props[name], device="cpu") for name in ("lower", "upper"))
        self.dof_pos[ids] = tensor_clamp(torch_rand_float(-0.2, 0.2, (len(ids), 8), "cpu"), lower, upper)
        self.dof_vel[ids] = 0.0
        self.reset_idx(ids, ids.unsqueeze(1))

    def step(self, action):
        efforts = (action.clamp(-1.0, 1.0) * self.gears).contiguous()
        self.gym.set_dof_actuation_force_tensor(self.sim, gymtorch.unwrap_tensor(efforts))
        self.simulate()
        up = quat_rotate_inverse(self.root[:, 3:7], torch.tensor([[0.0, 0.0, 1.0]]).repeat(self.num_envs, 1))
        sensors = gymtorch.wrap_tensor(self.gym.acquire_force_sensor_tensor(self.sim)).view(self.num_envs, 24)
        return torch.cat((self.root[:, 2:3], up, self.dof_pos, self.dof_vel, sensors), -1)


class Tray(Task):
    """A plate that attractors hold at three points, and a ball that falls onto it."""

    def create_assets(self):
        options = gymapi.AssetOptions()
        self.plate = self.gym.create_box(self.sim, 1.0, 1.0, 0.05, options)
        self.ball = self.gym.create_sphere(self.sim, 0.1, options)
        self.cart = self.asset(CART, ".urdf", fix_base_link=True)

    def create_actors(self, env, i):
        self.gym.create_actor(env, self.cart, gymapi.Transform(gymapi.Vec3(5.0, 0.0, 2.0)), "cart", i, 1, 0)
        self.gym.create_actor(env, self.plate, gymapi.Transform(gymapi.Vec3(0.0, 0.0, 0.5)), "plate", i, 0, 0)
        self.gym.create_actor(env, self.ball, gymapi.Transform(gymapi.Vec3(0.0, 0.0, 0.9)), "ball", i, 0, 0)
        for x, y in ((0.4, 0.0), (-0.2, 0.35), (-0.2, -0.35)):
            props = gymapi.AttractorProperties()
            props.stiffness, props.damping, props.axes = 5e7, 5e3, gymapi.AXIS_TRANSLATION
            props.rigid_handle = self.gym.get_actor_rigid_body_handle(env, 1, 0)
            props.offset.p, props.target.p = gymapi.Vec3(x, y, 0.0), gymapi.Vec3(x, y, 0.5)
            self.gym.create_rigid_body_attractor(env, props)

    def step(self):
        self.simulate()
        return self.root.view(self.num_envs, 3, 13)
