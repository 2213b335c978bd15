"""A cart with a pole, falling alone, as tasks of three repositories: each begins new episodes in its own way.

The pole of environment i starts at 0.07 i rad; an episode fails beyond 0.25 rad, and lasts `LIMIT` steps at most.
"""

import torch
from isaacgym import gymapi, gymtorch, gymutil

LIMIT = 12
CART = """<robot name="cart"><link name="rail"/><link name="cart"><inertial><mass value="1"/>
<inertia ixx="0.1" iyy="0.1" izz="0.1"/></inertial><collision><geometry><box size="0.1 0.2 0.1"/></geometry></collision>
</link><link name="pole"><inertial><origin xyz="0 0 0.5"/><mass value="1"/>
<inertia ixx="0.08" iyy="0.08" izz="0.01"/></inertial></link>
<joint name="slide" type="prismatic"><parent link="rail"/><child link="cart"/><axis xyz="0 1 0"/>
<limit lower="-4" upper="4" effort="400" velocity="100"/></joint>
<joint name="tilt" type="continuous"><parent link="cart"/><child link="pole"/><axis xyz="1 0 0"/></joint></robot>"""
EXISTING_SIM = None  # IsaacGymEnvs keeps one


class Poles:
    """What the tasks share: physics and buffers."""

    num_obs, num_actions, max_episode_length = 4, 1, LIMIT

    def make(self, num_envs, folder, params, effort):
        global EXISTING_SIM  # noqa: PLW0603
        self.num_envs, self.effort, self.gym = num_envs, effort, gymapi.acquire_gym()
        EXISTING_SIM = self.sim = EXISTING_SIM or self.gym.create_sim(0, -1, gymapi.SIM_PHYSX, params)
        asset = gymapi.AssetOptions()
        asset.fix_base_link = True
        with open(f"{folder}/cart.urdf", "w") as file:
            file.write(CART)
        cart = self.gym.load_asset(self.sim, folder, "cart.urdf", asset)
        for i in range(num_envs):
            env = self.gym.create_env(self.sim, gymapi.Vec3(), gymapi.Vec3(), 2)
            handle = self.gym.create_actor(env, cart, gymapi.Transform(gymapi.Vec3(0, 0, 1)), "cart", i, 1)
            props = self.gym.get_actor_dof_properties(env, handle)
            props["driveMode"][0], props["driveMode"][1] = gymapi.DOF_MODE_EFFORT, gymapi.DOF_MODE_NONE
            self.gym.set_actor_dof_properties(env, handle, props)
        self.gym.prepare_sim(self.sim)
        self.dof = gymtorch.wrap_tensor(self.gym.acquire_dof_state_tensor(self.sim))
        self.obs_buf, self.rew_buf = torch.zeros(num_envs, 4), torch.zeros(num_envs)
        self.count, self.reset_buf = torch.zeros(num_envs, dtype=torch.long), torch.ones(num_envs, dtype=torch.long)
        self.extras, self.sums = {}, {"tilt": torch.zeros(num_envs)}

    def act(self, actions, simulations=1):
        efforts = torch.zeros(self.num_envs, 2)
        efforts[:, 0] = self.effort * actions[:, 0]
        for _ in range(simulations):
            self.gym.set_dof_actuation_force_tensor(self.sim, gymtorch.unwrap_tensor(efforts))
            self.gym.simulate(self.sim)
        self.count += 1

    def start(self, ids):
        state = self.dof.view(self.num_envs, 2, 2)
        state[ids] = 0.0
        state[ids, 1, 0] = 0.07 * ids
        actors = gymtorch.unwrap_tensor(ids.to(torch.int32))
        self.gym.set_dof_state_tensor_indexed(self.sim, gymtorch.unwrap_tensor(self.dof), actors, len(ids))
        self.count[ids] = self.reset_buf[ids] = 0

    def observe(self):
        self.gym.refresh_dof_state_tensor(self.sim)
        self.obs_buf[:] = self.dof.view(self.num_envs, 4)

    def rate(self):
        tilt = self.obs_buf[:, 2].abs()
        self.rew_buf[:] = 1.0 - tilt
        self.sums["tilt"] += tilt
        return tilt > 0.25, self.count >= LIMIT


class Deferred(Poles):
    """As in IsaacGymEnvs: an episode that has ended is reset in the next step."""

    def __init__(self, cfg, rl_device, sim_device, graphics_device_id, headless, virtual_screen_capture, force_render):
        params = gymapi.SimParams()
        gymutil.parse_sim_config(cfg["sim"], params)
        self.cfg = cfg
        self.make(cfg["env"]["numEnvs"], cfg["env"]["folder"], params, cfg["env"]["effort"])
        self.progress_buf = self.count

    def step(self, actions):
        self.act(actions)
        if len(ids := self.reset_buf.nonzero().flatten()):
            self.reset_idx(ids)
        self.observe()
        failed, late = self.rate()
        self.reset_buf[:] = failed | late
        self.extras["time_outs"] = late & (self.reset_buf != 0)
        return {"obs": self.obs_buf.clamp(-5.0, 5.0)}, self.rew_buf, self.reset_buf, self.extras

    def reset_idx(self, ids):
        self.start(ids)


class Agents(Deferred):
    """As those of its tasks that leave resets to their agent."""

    def step(self, actions):
        self.act(actions)
        self.observe()
        failed, late = self.rate()
        self.reset_buf[:] = failed | late
        self.extras["terminate"] = failed
        return {"obs": self.obs_buf}, self.rew_buf, self.reset_buf, self.extras

    def reset_done(self):
        if len(ids := self.reset_buf.nonzero().flatten()):
            self.start(ids)
            self.observe()
        return {"obs": self.obs_buf}, ids


class PolesCfg:
    """A configuration in the style of legged_gym."""

    class env:
        num_envs, folder, effort = 4, "", 20.0

    class sim:
        dt, substeps, up_axis, gravity = 0.02, 1, 1, (0.0, 0.0, -9.81)


class AtOnce(Poles):
    """As in legged_gym: two simulations a step, and an episode that has ended is reset in the same step."""

    def __init__(self, cfg: PolesCfg, sim_params, physics_engine, sim_device, headless):
        self.cfg = cfg
        self.make(cfg.env.num_envs, cfg.env.folder, sim_params, cfg.env.effort)
        self.episode_length_buf = self.count

    def step(self, actions):
        self.act(actions, 2)
        self.observe()
        failed, late = self.rate()
        self.reset_buf = failed | late
        self.reset_idx(self.reset_buf.nonzero().flatten())
        self.observe()
        return self.obs_buf, None, self.rew_buf, self.reset_buf, self.extras

    def reset_idx(self, ids):
        if len(ids):
            ended, late = self.reset_buf.clone(), self.count >= LIMIT
            self.extras["episode"] = {"rew_tilt": self.sums["tilt"][ids].mean(), "level": 3}
            self.sums["tilt"][ids] = 0.0
            self.start(ids)
            self.reset_buf, self.extras["time_outs"] = ended, late


class ByHand(Poles):
    """As in ASE: the step returns nothing, and the agent resets environments by their numbers."""

    def __init__(self, cfg, sim_params, physics_engine, device_type, device_id, headless):
        self.make(cfg["env"]["numEnvs"], cfg["env"]["folder"], sim_params, cfg["env"]["effort"])
        self.progress_buf = self.count

    def step(self, actions):
        self.act(actions)
        self.observe()
        failed, late = self.rate()
        self.reset_buf[:] = failed | late
        self.extras["terminate"] = failed

    def reset(self, env_ids=None):
        self.start(torch.arange(self.num_envs) if env_ids is None else env_ids)
        self.observe()


class NoTask:
    """A class that is none."""


class OtherWorld(Poles):
    """A class that is constructed with something unknown."""

    def __init__(self, cfg, planet):
        self.planet = planet

    def step(self, actions):
        return actions
