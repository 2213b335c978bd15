"""HPG as in the paper on the taxi, over step sizes, decays and seeds.

    python benchmarks/hpg_sweep.py [rates=1e-4,3e-4,1e-3] [decays=0,200] [seeds=3] [million_steps=30] [num_envs=1024]
        [baseline=true]

Without natural gradient, normalisation and entropy bonus, and by default without a baseline. One JSON line per run goes
to standard output: the return of the greedy policy, and the probability of `Refuel` at the root, as means over all
starts, at ten points of the training.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import isaachrl  # isort: skip  (first: it chooses how PyTorch's threads wait)
import torch

import tasks  # noqa: F401 - importing them registers them
from isaachrl import config
from isaachrl.errors import IsaacHRLError
from isaachrl.learn.task_graph import make_hpg
from isaachrl.learn.task_graph.tabular.config import HpgCfg
from isaachrl.learn.task_graph.tabular.learner import TabularLearner, greedy_means

PAPER: dict[str, Any] = {"natural": False, "normalize": False, "entropy": 0.0, "entropy_end": 0.0}
POINTS = 10


@dataclass
class Options:
    """The command line.

    Args:
        rates: alpha_0, separated by commas.
        decays: `decay_iterations`, separated by commas.
        seeds: number of seeds, from 0.
        million_steps: of a run, over all environments.
        num_envs: taxis.
        baseline: with a baseline, which the paper does not have.
    """

    rates: str = "1e-4,3e-4,1e-3"
    decays: str = "0,200"
    seeds: int = 3
    million_steps: float = 30.0
    num_envs: int = 1024
    baseline: bool = False


def refuelling(learner: TabularLearner) -> float:
    """Probability that the root calls `Refuel`, mean over all starts."""
    tables = learner.tables
    child = tables.graph.root.children.index("Refuel")
    row = tables.row[0, learner.tables.mdp.starts]
    return float(learner.algorithm.probabilities(learner.iteration)[row, child].mean())


def run(rate: float, decay: int, seed: int, options: Options) -> dict[str, Any]:
    """One training."""
    env = isaachrl.make("TaxiFuel", num_envs=options.num_envs, device="cpu", seed=seed)
    varied = {"learning_rate": rate, "decay_iterations": decay, "baseline": options.baseline}
    cfg = config.build(HpgCfg, PAPER | varied)
    learner = make_hpg(env, cfg, seed)
    assert isinstance(learner, TabularLearner)
    start, points = time.process_time(), []
    last = max(int(options.million_steps * 1e6) // learner.samples_per_iteration, 1)
    for iteration in range(1, last + 1):
        learner.iterate()
        if iteration * POINTS // last > (iteration - 1) * POINTS // last:
            points.append([learner.samples / 1e6, greedy_means(learner)[0], refuelling(learner)])
    rounded = [[round(number, 3) for number in point] for point in points]
    found = {"learning_rate": rate, "decay_iterations": decay, "seed": seed, "cpu_s": time.process_time() - start}
    return found | {"million steps, greedy return, probability of Refuel": rounded}


def main(arguments: Sequence[str]) -> None:
    """All runs, one after the other."""
    options = config.build(Options, {key: value for key, _, value in (word.partition("=") for word in arguments)})
    rates, decays = ([float(word) for word in words.split(",")] for words in (options.rates, options.decays))
    for seed, decay, rate in product(range(options.seeds), decays, rates):
        print(json.dumps(run(rate, int(decay), seed, options)), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
