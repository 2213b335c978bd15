"""An iteration of PPO on the maze."""

from contextlib import ExitStack
from typing import Any

from gpu.measure import Stopwatch, launches
from gpu.options import Options
from gpu.recipes import make_learner
from gpu.report import Report

TASK = "HumanoidHRLMaze"


def run(report: Report, options: Options) -> None:
    """With the recipe `gpu`. `env_step` is part of `rollout`; a sample is a decision of five control steps."""
    learner: Any = make_learner(options, TASK, "gpu")
    device = learner.env.device
    times = 4 if device.type == "cuda" else 1
    watch = Stopwatch(device)
    with ExitStack() as stack:
        for owner, method, name in (
            (learner.env, "step", "env_step"),
            (learner.agent, "play_steps", "rollout"),
            (learner.agent, "train_actor_critic", "update"),
            (learner, "iterate", "iteration"),
        ):
            stack.enter_context(watch.watching(owner, method, name))
        learner.iterate()
        warm = watch.totals_ms()
        for _ in range(times - 1):
            learner.iterate()
        signals = learner.iterate()
    total = watch.totals_ms()
    shown = {f"{name}_ms": (total[name] - warm[name]) / times for name in total}
    rate = 1e3 * learner.samples_per_iteration / shown["iteration_ms"]
    report.figures(shown | {"samples_per_s": round(rate), "policy_kl": signals["policy/kl"]})
    with report.part("profiler"):
        profile = launches(device, learner.iterate)
        names = ("launches", "torch_kernels", "torch_ms", "engine_ms", "busy_share")
        report.figures({name: None if profile is None else profile[name] for name in names})
