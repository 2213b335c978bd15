"""Learning on a GPU: imitation of a walk without latents, with the recipe `gpu`."""

import math
import time
from typing import Any

from gpu.options import LIMITS_S, Options
from gpu.recipes import make_learner
from gpu.report import Report

RESERVE_S = 20.0  # of the section's time, to start the process and build the environment
DRY_ITERATIONS = 3
POINTS = 12  # of the curve
SIGNALS = {
    "length": "episode/length",
    "fall_share": "episode/termination_rate",
    "speed_mps": "episode/forward_speed_mps",
    "accuracy_agent": "style/accuracy_agent",
    "accuracy_demo": "style/accuracy_demo",
    "style": "reward/style",
    "kl": "policy/kl",
}


def run(report: Report, options: Options) -> None:
    """Iterate until `samples` or the time limit; report means over the last tenth."""
    begin = time.monotonic()
    typed: dict[str, Any] = {"task": {"motion": "walk"}, "train": {"latents": "none"}}
    learner = make_learner(options, "HumanoidAMP", "gpu", typed)
    dry = learner.env.device.type == "cpu"
    iterations = DRY_ITERATIONS if dry else max(2, math.ceil(options.samples / learner.samples_per_iteration))
    learner.max_iterations = iterations
    learner.cfg.max_iterations = iterations  # pyright: ignore[reportAttributeAccessIssue] - log_std is annealed over these
    end = begin + (options.patience or 1.0) * (LIMITS_S["learning"] - RESERVE_S)
    start, found = time.monotonic(), []
    while learner.iteration < iterations and (dry or time.monotonic() < end):
        signals = learner.iterate()
        known = {name: signals[key] for name, key in SIGNALS.items() if key in signals}
        found.append({"samples": learner.samples, "s": time.monotonic() - start} | known)
        if learner.iteration % max(1, iterations // POINTS) == 0:
            report.figure("curve", found[:: max(1, len(found) // POINTS)])
    took = time.monotonic() - start
    report.figures({"samples": learner.samples, "samples_per_s": round(learner.samples / took), "seconds": took})
    report.figure("complete", learner.iteration == iterations)
    last = found[-max(1, len(found) // 10) :]
    for name in SIGNALS:
        values = [point[name] for point in last if name in point]
        report.figure(name, sum(values) / len(values) if values else None)
    report.figure("overflows", learner.env.check_capacity())  # worlds by the buffer that was too small
    finite = all(math.isfinite(value) for point in found for value in point.values())
    report.check("finite", finite)
    lengths = [point["length"] for point in found if "length" in point]
    if not dry:
        report.check("episodes_get_longer", len(lengths) > 1 and lengths[-1] > lengths[0], lengths[:1] + lengths[-1:])
