"""Control steps per second over the number of environments: bare engine, environment with CUDA graphs, and eager."""

import gc
from contextlib import ExitStack
from typing import Any

import torch

import isaachrl
from gpu.measure import Stopwatch, launches, replaced, seconds, used_bytes
from gpu.options import Options
from gpu.report import Report
from isaachrl.envs import TaskEnv
from isaachrl.envs.registry import choose_device
from isaachrl.sim import Sim
from isaachrl.sim.bare import bare_engine

TASK = "HumanoidAMP"
ACTION_STD = 0.05
WARM = 4  # steps until kernels are loaded and the graph is recorded
METHODS = ("after_physics", "reward_terms", "terminated", "reset", "observe")


class Bench:
    """Environments of one size.

    Args:
        report: of the figures, under `N/`.
        device: of the environments.
        count: N.
        task: registered name.
    """

    def __init__(self, report: Report, device: torch.device, count: int, task: str = TASK) -> None:
        self.report, self.device = report, device
        self.prefix = f"{count}/" if task == TASK else f"{task}/{count}/"
        self.times = 60 if device.type == "cuda" else 2
        before = used_bytes(device)
        self.env: Any = isaachrl.make(task, count, "mujoco_warp", str(device))
        mean = torch.zeros(self.env.action_size, device=device)
        if isinstance(self.env, TaskEnv):
            mean = getattr(self.env.task, "mean_action", lambda: mean)()
        self.mean = mean
        for _ in range(WARM if device.type == "cuda" else 1):
            self.step()
        after = used_bytes(device)
        held = None if before is None or after is None else (after - before) / 2**30
        self.report.figure(f"{self.prefix}memory_gib", held)

    def step(self) -> None:
        """A step near the mean pose."""
        noise = torch.randn(self.env.num_envs, self.env.action_size, device=self.device)
        with torch.no_grad():
            self.env.step(self.mean + ACTION_STD * noise)

    def measure(self, name: str, milliseconds: float | None) -> None:
        """Report the time of a step, and steps per second over all worlds."""
        self.report.figure(f"{self.prefix}{name}_ms", milliseconds)
        rate = None if milliseconds is None else round(1e3 * self.env.num_envs / milliseconds)
        self.report.figure(f"{self.prefix}{name}_steps_per_s", rate)

    def whole_steps(self) -> None:
        """Time the environment with CUDA graphs, then without."""
        graph = self.env.step_graph
        replayed = 1e3 * seconds(self.device, self.step, self.times) if graph is not None else None
        self.measure("env_graph", replayed)
        with replaced(self.env, "step_graph", None):
            self.measure("env_eager", 1e3 * seconds(self.device, self.step, self.times))

    def bare(self, sim: Sim, substeps: int) -> None:
        """Time the bare engine from the environment's state, with its last controls."""
        engine = bare_engine(sim)
        engine.follow()
        ctrl = sim.ctrl.clone()
        for _ in range(3 if self.device.type == "cuda" else 1):  # eager, captured, replayed
            engine.step(ctrl, substeps)
        self.measure("bare", 1e3 * seconds(self.device, lambda: engine.step(ctrl, substeps), self.times))

    def segments(self, env: TaskEnv) -> None:
        """Time the phases of an eager step; the device may idle between launches."""
        watch = Stopwatch(self.device)
        with ExitStack() as stack:
            stack.enter_context(replaced(env, "step_graph", None))
            stack.enter_context(watch.watching(env.sim, "step", "physics"))
            for method in METHODS:
                stack.enter_context(watch.watching(env.task, method, method))
            for _ in range(self.times):
                self.step()
        totals = {f"eager_{name}_ms": total / self.times for name, total in watch.totals_ms().items()}
        self.report.figures(totals, self.prefix)

    def fullest(self, sim: Any) -> None:
        """Report the maximum number of contacts of all worlds, and of constraint rows of a world, over some steps."""
        data = sim.worlds._d  # counts of the engine, not public
        contacts, rows = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        import warp as wp  # only here: Warp is an extra

        nacon, nefc = wp.to_torch(data.nacon), wp.to_torch(data.nefc)
        for _ in range(max(2, self.times // 2)):
            self.step()
            contacts, rows = torch.maximum(contacts, nacon.max()), torch.maximum(rows, nefc.max())
        found = {"contacts_a_world": float(contacts) / self.env.num_envs, "rows_of_a_world": int(rows)}
        found |= {"nconmax": sim.worlds.nconmax, "njmax": sim.worlds.njmax, "overflows": sim.check_capacity()}
        self.report.figures(found, self.prefix)

    def kernels(self) -> None:
        """Profile a replayed step; null without a GPU."""
        profile = launches(self.device, lambda: [self.step() for _ in range(10)])
        names = ("launches", "engine_kernels", "engine_ms", "torch_kernels", "torch_ms")
        figures = dict.fromkeys(names) if profile is None else {name: profile[name] / 10 for name in names}
        figures |= {"busy_share": None if profile is None else profile["busy_share"]}
        self.report.figures({f"replayed_{name}": value for name, value in figures.items()}, self.prefix)


def one_size(report: Report, device: torch.device, count: int, profiled: bool) -> None:
    """All measurements for a number of environments."""
    bench = Bench(report, device, count)
    env = bench.env
    bench.whole_steps()
    with report.part(f"{count} segments"):
        bench.segments(env)
    with report.part(f"{count} contacts"):
        bench.fullest(env.sim)
    with report.part(f"{count} bare"):
        bench.bare(env.sim, env.task.cfg.substeps)
    if profiled:
        with report.part(f"{count} profiler"):
            bench.kernels()


def release(device: torch.device) -> None:
    """Free the memory of earlier environments."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def run(report: Report, options: Options) -> None:
    """A quarter, all, twice and four times `num_envs`; then the maze, whose step is five control steps."""
    device, count = choose_device(options.device), options.num_envs
    for size in (count // 4, count, 2 * count):
        with report.part(f"{size} environments"):
            one_size(report, device, size, profiled=size == count)
        release(device)
    with report.part("maze"):
        maze = Bench(report, device, count, "HumanoidHRLMaze")
        maze.whole_steps()
        maze.kernels()
        del maze
    release(device)
    with report.part(f"{4 * count} environments"):  # last, since it needs the most memory
        one_size(report, device, 4 * count, profiled=False)
