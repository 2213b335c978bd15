"""The parts of a pretraining iteration: rollout, rewards, policy, discriminator; and the effect of other settings."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch

from gpu.measure import Operations, Stopwatch, launches, replaced
from gpu.options import Options
from gpu.recipes import make_learner, recipe_names
from gpu.report import Report
from isaachrl.envs.registry import choose_device

TASK = "HumanoidAMP"


class Iterations:
    """Iterations of a learner, measured.

    Args:
        report: takes the figures.
        learner: of skills.
        times: iterations of a measurement.
    """

    def __init__(self, report: Report, learner: Any, times: int) -> None:
        self.report, self.learner, self.times = report, learner, times
        self.device = learner.env.device

    def apart(self, prefix: str) -> None:
        """Milliseconds of an iteration and of its parts."""
        watch, learner = Stopwatch(self.device), self.learner
        began: list[Any] = []
        rewards = learner.discriminator.rewards

        def after_rollout(*arguments: Any) -> Any:
            watch.add("rollout", began[-1])
            start = watch.now()
            result = rewards(*arguments)
            watch.add("opinions", start)
            return result

        def iterate() -> None:
            began.append(watch.now())
            signals.update(learner.iterate())
            watch.add("iteration", began[-1])

        signals: dict[str, float] = {}
        with ExitStack() as stack:
            stack.enter_context(replaced(learner.discriminator, "rewards", after_rollout))
            for owner, method, name in (
                (learner.env, "step", "env_step"),
                (learner.policy_update, "step", "policy"),
                (learner.discriminator, "learn", "judge"),
                (learner.discriminator, "store", "remember"),
            ):
                stack.enter_context(watch.watching(owner, method, name))
            iterate()
            warm = watch.totals_ms()
            for _ in range(self.times):
                iterate()
        total = watch.totals_ms()
        shown = {f"{name}_ms": (total[name] - warm[name]) / self.times for name in total}
        rate = 1e3 * learner.samples_per_iteration / shown["iteration_ms"]
        names = ("policy/kl", "style/accuracy_agent", "style/accuracy_demo", "loss/value")
        kept = {name.replace("/", "_"): signals.get(name) for name in names}
        shown["update_ms"] = shown["iteration_ms"] - shown["rollout_ms"]
        self.report.figures(shown | {"samples_per_s": round(rate)} | kept, prefix)

    def operations(self, prefix: str) -> None:
        """Operations that PyTorch dispatches for a minibatch, by part."""
        counts: dict[str, int] = {}

        def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                with Operations() as mode:
                    result = method(*arguments)
                counts[name] = mode.count
                counts[f"{name}_minibatches"] = counts.get(f"{name}_minibatches", 0) + 1
                return result

            return call

        learner = self.learner
        policy = counted("policy", learner.policy_update.step)
        learn = counted("judge", learner.discriminator.learn)  # the figures keep their names
        with replaced(learner.policy_update, "step", policy), replaced(learner.discriminator, "learn", learn):
            learner.iterate()
        found = {"policy_operations": counts["policy"], "judge_operations": counts["judge"]}
        self.report.figures(found | {"minibatches": counts["policy_minibatches"]}, prefix)

    def profiled(self, prefix: str) -> None:
        """Launches of an iteration; null without a GPU."""
        seen = launches(self.device, self.learner.iterate)
        names = ("launches", "torch_kernels", "torch_ms", "engine_ms", "busy_share")
        self.report.figures({name: None if seen is None else seen[name] for name in names}, prefix)


@contextmanager
def tf32() -> Iterator[None]:
    """Products of float32 matrices by TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def fused(learner: Any) -> Iterator[None]:
    """Adam in one kernel, from its beginning."""

    def anew(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        groups = [{"params": group["params"], "lr": group["lr"]} for group in optimizer.param_groups]
        return torch.optim.Adam(groups, fused=True)

    parts = (learner.policy_update, learner.discriminator)
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(replaced(part, "optimizer", anew(part.optimizer)))
        yield


def variations(learner: Any) -> dict[str, Any]:
    """What else is measured, by name: contexts in which the learner works otherwise."""
    return {
        "as_shipped": nullcontext(),
        "three_epochs": replaced(learner.cfg, "epochs", 3),
        "minibatch_32k": replaced(learner.cfg, "minibatch", 32768),
        "tf32": tf32(),
        "fused_adam": fused(learner),
    }


def run(report: Report, options: Options) -> None:
    """Every recipe for GPUs as it is shipped; the last one, with the largest networks, under the variations too."""
    device = choose_device(options.device)
    times = 4 if device.type == "cuda" else 1
    names = recipe_names(TASK)
    for recipe in names:
        with report.part(recipe):
            begin = time.perf_counter()
            bench = Iterations(report, make_learner(options, TASK, recipe), times)
            report.figure(f"{recipe}/build_s", time.perf_counter() - begin)
            others = variations(bench.learner)
            for name, context in others.items() if recipe == names[-1] else [("as_shipped", nullcontext())]:
                with report.part(f"{recipe} {name}"), context:
                    bench.apart(f"{recipe}/{name}/")
            bench.operations(f"{recipe}/")
            if device.type == "cuda":
                peak = torch.cuda.max_memory_allocated(device) / 2**30
                report.figure(f"{recipe}/torch_peak_gib", peak)
            with report.part(f"{recipe} profiler"):
                bench.profiled(f"{recipe}/")
            del bench
        gc.collect()
