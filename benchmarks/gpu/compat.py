"""The API of Isaac Gym on the device: a cart with a pole and a crawler with four legs, as its tasks step them."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu.measure import Operations, seconds
from gpu.options import Options
from gpu.report import Report
from isaachrl.compat.install import install
from isaachrl.compat.isaacgym import gymapi, gymtorch
from isaachrl.compat.isaacgym.enums import SimType, UpAxis
from isaachrl.envs.registry import choose_device
from isaachrl.sim.cuda_graph import host_waits

STEPS = 20  # compared with the CPU engine, a reset of every second world in the middle
NEAR = 1e-4  # m, rad, and times 1/s, after the first step
NEAR_CPU = 1e-2  # after all, in the median world: contacts make some chaotic
LEAST_STEPS_PER_S = {"cart": 400e3, "crawler": 200e3}  # on a GPU, with 4096 worlds or more
CART = """<mujoco><worldbody><body name="rail"><geom type="box" size=".02 4 .02" contype="0" conaffinity="0"/>
<body name="cart"><joint name="slide" type="slide" axis="0 1 0" range="-4 4" limited="true"/>
<geom type="box" size=".1 .1 .05" mass="1"/><body name="pole"><joint name="tilt" axis="1 0 0"/>
<geom type="capsule" fromto="0 0 0 0 0 1" size=".02" mass="1"/></body></body></body></worldbody>
<actuator><motor joint="slide"/></actuator></mujoco>"""
_CORNERS = ((0.2, 0.2), (-0.2, 0.2), (-0.2, -0.2), (0.2, -0.2))
_LEGS = "".join(
    f"""<body name="thigh{i}" pos="{x} {y} 0"><joint name="hip{i}" axis="{-y} {x} 0" range="-40 40"/>
    <geom type="capsule" fromto="0 0 0 {x} {y} 0" size="0.05"/><body name="foot{i}" pos="{x} {y} 0">
    <joint name="knee{i}" axis="{-y} {x} 0" range="20 100"/>
    <geom type="capsule" fromto="0 0 0 {2 * x} {2 * y} 0" size="0.05"/></body></body>"""
    for i, (x, y) in enumerate(_CORNERS)
)
_MOTORS = "".join(f'<motor joint="{part}{i}"/>' for i in range(len(_CORNERS)) for part in ("hip", "knee"))
CRAWLER = f"""<mujoco><compiler angle="degree"/><default><joint limited="true" damping="0.1" armature="0.01"/>
<geom density="200"/></default><worldbody><body name="torso"><freejoint/><geom size="0.2"/>{_LEGS}</body></worldbody>
<actuator>{_MOTORS}</actuator></mujoco>"""
TASKS = {"cart": (CART, True, 1.0, 20.0), "crawler": (CRAWLER, False, 0.5, 10.0)}  # model, fixed, height m, N or N m


class Worlds:
    """N worlds with one actor each, stepped through the API.

    Args:
        task: one of `TASKS`.
        count: N.
        device: of the tensors.
        engine: `mujoco` or `mujoco_warp`.
    """

    def __init__(self, task: str, count: int, device: torch.device, engine: str) -> None:
        text, fixed, height_m, self._effort = TASKS[task]
        install(engine)
        self.gym, self.count = gymapi.acquire_gym(), count
        params = gymapi.SimParams()
        params.substeps, params.up_axis, params.gravity = 2, UpAxis.UP_AXIS_Z, gymapi.Vec3(0.0, 0.0, -9.81)
        params.use_gpu_pipeline = device.type == "cuda"
        self.sim = self.gym.create_sim(device.index or 0, -1, SimType.SIM_PHYSX, params)
        ground = gymapi.PlaneParams()
        ground.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        self.gym.add_ground(self.sim, ground)
        options = gymapi.AssetOptions()
        options.fix_base_link = fixed
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "asset.xml").write_text(text, encoding="utf-8")
            asset = self.gym.load_asset(self.sim, folder, "asset.xml", options)
        corner = gymapi.Vec3(2.0, 2.0, 2.0)
        for i in range(count):
            env = self.gym.create_env(self.sim, gymapi.Vec3(), corner, 64)
            self.gym.create_actor(env, asset, gymapi.Transform(gymapi.Vec3(0.0, 0.0, height_m)), "actor", i, 1)
        self.gym.prepare_sim(self.sim)
        self.root: Any = gymtorch.wrap_tensor(self.gym.acquire_actor_root_state_tensor(self.sim))
        self.dof: Any = gymtorch.wrap_tensor(self.gym.acquire_dof_state_tensor(self.sim))
        self.num_dofs = len(self.dof) // count
        self._root0, self._dof0 = self.root.clone(), self.dof.clone()
        self._odd = torch.arange(1, count, 2, device=device, dtype=torch.int32)
        noise = torch.rand(64, self.num_dofs, generator=torch.Generator().manual_seed(0))
        repeated = (2.0 * noise - 1.0).repeat(-(-count // 64), 1)[:count]
        self.efforts = (self._effort * repeated).to(device).contiguous()

    def step(self) -> Tensor:
        """A control step; `(N, …)` states of the degrees of freedom and the root after it."""
        gym, sim = self.gym, self.sim
        gym.set_dof_actuation_force_tensor(sim, gymtorch.unwrap_tensor(self.efforts))
        gym.simulate(sim)
        gym.fetch_results(sim, True)
        gym.refresh_dof_state_tensor(sim)
        gym.refresh_actor_root_state_tensor(sim)
        return torch.cat((self.dof.view(self.count, -1), self.root), -1)

    def reset_odd(self) -> None:
        """Put every second world back to its start."""
        root, dof = self.root.clone(), self.dof.clone()
        root.copy_(self._root0)
        dof.copy_(self._dof0)
        ids, n = gymtorch.unwrap_tensor(self._odd), len(self._odd)
        self.gym.set_actor_root_state_tensor_indexed(self.sim, gymtorch.unwrap_tensor(root), ids, n)
        self.gym.set_dof_state_tensor_indexed(self.sim, gymtorch.unwrap_tensor(dof), ids, n)


def against_cpu_engine(report: Report, task: str, worlds: Worlds) -> None:
    """The same efforts and resets on both engines, which begin in the same state."""
    reference = Worlds(task, min(worlds.count, 64), torch.device("cpu"), "mujoco")
    rows = slice(reference.count)
    found, expected = worlds.step()[rows], reference.step()
    first = float((found.cpu() - expected).abs().max())
    for number in range(1, STEPS):
        if number == STEPS // 2:
            worlds.reset_odd()
            reference.reset_odd()
        found, expected = worlds.step()[rows], reference.step()
    difference = (found.cpu() - expected).abs().amax(-1)
    report.figures({"first_difference": first, "median_difference": float(difference.median())}, f"{task}/")
    report.check(f"{task}/first_step_agrees", first < NEAR, first)
    report.check(f"{task}/cpu_engine_agrees", float(difference.median()) < NEAR_CPU, float(difference.median()))
    moved = float((found - found[:1]).abs().max())
    report.check(f"{task}/moved", moved > 1e-2, moved)


def on_the_device(report: Report, task: str, worlds: Worlds, device: torch.device) -> None:
    """Steps and resets wait for nothing, the physics is one graph, and the API costs little beside it."""
    with host_waits(device) as waits:
        worlds.step()
        worlds.reset_odd()
    physics: Any = worlds.sim.physics
    graphs = physics.worlds.captured
    cuda = device.type == "cuda"
    report.check(f"{task}/waits_for_nothing", not waits, waits[:3])
    report.check(f"{task}/captured", graphs == ({"refresh", "step 2"} if cuda else set()), sorted(graphs))
    times = 50 if cuda else 2
    step_s, engine_s = (seconds(device, work, times) for work in (worlds.step, lambda: physics.worlds.step(2)))
    rate = worlds.count / step_s
    with Operations() as beside:
        worlds.gym.simulate(worlds.sim)
    report.figure(f"{task}/simulate_operations", beside.count)  # of PyTorch, outside of the graphs
    values = {"step_ms": 1e3 * step_s, "engine_ms": 1e3 * engine_s, "steps_per_s": rate}
    report.figures(values | {"outside_share": 1.0 - engine_s / step_s if cuda else None}, f"{task}/")
    if cuda and worlds.count >= 4096:
        report.check(f"{task}/fast", rate > LEAST_STEPS_PER_S[task], rate)


def run(report: Report, options: Options) -> None:
    """With `num_envs` worlds of each task."""
    device = choose_device(options.device)
    for task in TASKS:
        with report.part(f"{task}: building"):
            worlds = Worlds(task, options.num_envs, device, "mujoco_warp")
            with report.part(f"{task}: CPU engine"):
                against_cpu_engine(report, task, worlds)
            with report.part(f"{task}: on the device"):
                on_the_device(report, task, worlds, device)
