"""MuJoCo Warp: eager, captured and replayed steps; agreement with the CPU engine; diverged worlds; empty arrays."""

import time

import torch
from torch import Tensor

from gpu.measure import seconds
from gpu.options import Options
from gpu.report import Report
from isaachrl.envs.registry import choose_device
from isaachrl.sim import Scene, Sim, make_sim

SUBSTEPS = 4
SECOND = 30  # control steps
NEAR = 1e-3  # metres and radians after a control step: the order of sums on a GPU varies
NEAR_CPU = 1e-2  # after a second, in the median world: some are chaotic
FEET = ("right_foot", "left_foot")
BROKEN = 1


def controls(sim: Sim) -> Tensor:
    """The same small targets `(N, A)` for every engine."""
    noise = torch.randn(sim.ctrl.shape, generator=torch.Generator().manual_seed(0))
    return (0.2 * noise).to(sim.device)


def one_step(sim: Sim, start: dict[str, Tensor], ctrl: Tensor) -> Tensor:
    """`qpos` after a control step from that state."""
    sim.load_state_dict(start)
    sim.ctrl.copy_(ctrl)
    sim.step(SUBSTEPS)
    return sim.qpos.clone()


def max_difference(one: Tensor, other: Tensor) -> float:
    """Maximum absolute difference."""
    return float((one.cpu() - other.cpu()).abs().max())


def step_three_ways(report: Report, sim: Sim, load_s: float) -> None:
    """The first step is eager, the second is captured, later ones are replayed; on the CPU all are eager."""
    start, ctrl = sim.state_dict(), controls(sim)
    begin = time.perf_counter()
    eager = one_step(sim, start, ctrl)
    if sim.device.type == "cuda":
        torch.cuda.synchronize(sim.device)
    report.figure("load_s", load_s + time.perf_counter() - begin)
    again, third = one_step(sim, start, ctrl), one_step(sim, start, ctrl)
    report.check("moved", max_difference(eager, start["qpos"]) > 1e-3)
    names = ("captured_difference", "replayed_difference", "replayed_step_ms")
    if sim.device.type == "cuda":
        values = (
            max_difference(eager, again),
            max_difference(eager, third),
            1e3 * seconds(sim.device, lambda: sim.step(SUBSTEPS), 20),
        )
        report.figures(dict(zip(names, values, strict=True)))
        report.check("graphs_agree", max(values[:2]) < NEAR, values[:2])
        return
    report.figures(dict.fromkeys(names))
    report.figure("eager_repeats_difference", max_difference(eager, again))
    report.figure("eager_step_ms", 1e3 * seconds(sim.device, lambda: sim.step(SUBSTEPS)))


def against_cpu_engine(report: Report, sim: Sim, scene: Scene) -> None:
    """A second with the same controls on the CPU engine."""
    reference = make_sim(scene, sim.num_envs, "mujoco", torch.device("cpu"))
    all_envs = torch.ones(sim.num_envs, dtype=torch.bool)
    qpos, qvel = reference.qpos.clone(), torch.zeros_like(reference.qvel)
    for one in (sim, reference):
        one.reset(all_envs.to(one.device), qpos.to(one.device), qvel.to(one.device))
    for one in (sim, reference):
        for _ in range(SECOND):
            one.ctrl.copy_(controls(one))
            one.step(SUBSTEPS)
    worlds = (sim.qpos.cpu() - reference.qpos).abs().amax(-1)
    report.figure("cpu_engine_difference_largest", float(worlds.max()))
    report.figure("cpu_engine_difference_median", float(worlds.median()))
    report.check("cpu_engine_agrees", float(worlds.median()) < NEAR_CPU, float(worlds.median()))


def broken_world(report: Report, sim: Sim) -> None:
    """A world with nan is reset and flagged, and the others are not affected."""
    start, ctrl = sim.state_dict(), controls(sim)
    whole = one_step(sim, start, ctrl)
    broken = {name: value.clone() for name, value in start.items()}
    broken["qpos"][BROKEN, 3] = torch.nan
    healed = one_step(sim, broken, ctrl)
    flags = sim.diverged.clone()
    others = torch.arange(sim.num_envs, device=sim.device) != BROKEN
    report.check("broken_world_is_flagged", bool(flags[BROKEN]) and int(flags.sum()) == 1, flags.tolist()[:16])
    report.check("broken_world_heals", bool(healed.isfinite().all()))
    report.check("others_do_not_notice", max_difference(healed[others], whole[others]) < NEAR)
    sim.ctrl.copy_(ctrl)
    sim.step(SUBSTEPS)
    report.check("healed_world_goes_on", not bool(sim.diverged.any()) and bool(sim.qpos.isfinite().all()))


def run(report: Report, options: Options) -> None:
    """With `num_envs / 64` worlds, at least four."""
    device, count = choose_device(options.device), max(4, options.num_envs // 64)
    scene = Scene(contact_bodies=FEET)
    begin = time.perf_counter()
    sim = make_sim(scene, count, "mujoco_warp", device)
    build_s = time.perf_counter() - begin
    report.figures({"worlds": count, "build_s": build_s})
    with report.part("eager, captured, replayed"):
        step_three_ways(report, sim, build_s)
    with report.part("CPU engine"):
        against_cpu_engine(report, sim, scene)
    with report.part("broken world"):
        broken_world(report, sim)
    with report.part("arrays without elements"):
        bare = make_sim(Scene(), count, "mujoco_warp", device)
        for _ in range(3):  # eager, captured, replayed
            bare.step(SUBSTEPS)
        shapes = [list(bare.mocap_pos_w.shape), list(bare.contact_force_w.shape)]
        report.check("empty_arrays", shapes == [[count, 0, 3]] * 2 and bool(bare.qpos.isfinite().all()), shapes)
    begin = time.perf_counter()
    make_sim(scene, count, "mujoco_warp", device).step(SUBSTEPS)
    report.figure("load_again_s", time.perf_counter() - begin)
