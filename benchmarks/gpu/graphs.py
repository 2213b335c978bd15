"""Steps of environments with CUDA graphs against eager steps."""

import gc
from typing import Any

import torch
from torch import Tensor

import isaachrl
from gpu.measure import replaced
from gpu.options import Options
from gpu.report import Report
from isaachrl.envs import Env, StepResult
from isaachrl.envs.registry import choose_device
from isaachrl.sim.cuda_graph import Recorder, default_generator

RISING = "assets/skills/rising.pt"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "HumanoidAMP": ("HumanoidAMP", {}),
    "HumanoidRise": ("HumanoidRise", {}),
    "maze": ("HumanoidHRLMaze", {}),
    "maze_guide_rescue": ("HumanoidHRLMaze", {"guide": True, "rescue": RISING}),
    "AntMaze": ("AntMaze", {}),
    "push": ("HumanoidAMP", {"disturb": {"push": 0.3, "push_s": 0.1, "push_every_s": 0.2}}),
}
# differences of observations in the median environment: the order of sums on a GPU varies, so two environments that
# step eagerly differ, too
NEAR, FACTOR = 1e-3, 3.0


class Bench:
    """The checks.

    Args:
        report: of the figures.
        options: device and size: `num_envs / 16` environments, at least four.
    """

    def __init__(self, report: Report, options: Options) -> None:
        self.report, self.device = report, choose_device(options.device)
        self.cuda = self.device.type == "cuda"
        self.count = max(4, options.num_envs // 16)
        self.steps, self.episode = (14, 5) if self.cuda else (4, 2)

    def make(self, name: str, cfg: dict[str, Any], graph: str, seed: int = 0) -> Env:
        """An environment with short episodes, so that steps include resets; a decision of the maze has five steps."""
        task = {"episode_steps": self.episode * (5 if name == "HumanoidHRLMaze" else 1)} | cfg
        return isaachrl.make(name, self.count, "mujoco_warp", str(self.device), seed, graph, {"task": task})

    def actions(self, env: Env) -> list[Tensor]:
        """Actions `(N, A)`, the same for every environment of a kind."""
        shape, generator = (env.num_envs, env.action_size), torch.Generator().manual_seed(1)
        return [(2 * torch.rand(shape, generator=generator) - 1).to(self.device) for _ in range(self.steps)]

    def compare(self, case: str) -> None:
        """Compare steps with CUDA graphs with eager ones, and these with each other; steps must not synchronize."""
        name, cfg = CASES[case]
        env, plain, again = (self.make(name, cfg, graph) for graph in ("auto", "off", "off"))
        largest, median, twice, ends = 0.0, 0.0, 0.0, 1.0
        for action in self.actions(env):
            one, other, third = env.step(action), plain.step(action), again.step(action)
            worlds = difference(env, one, other)
            largest, median = max(largest, float(worlds.max())), max(median, float(worlds.median()))
            twice = max(twice, float(difference(env, other, third).median()))
            ends = min(ends, float((one.done == other.done).float().mean()))
        replayed = env.step_graph is not None
        found: dict[str, Any] = {"replayed": replayed if self.cuda else None, "eager_twice_median": twice}
        found |= {"on_off_largest": largest if self.cuda else None, "on_off_median": median if self.cuda else None}
        found["ends_agree"] = ends
        self.report.figures(found, f"{case}/")
        same = median < max(NEAR, FACTOR * twice)
        self.report.check(f"{case}/same", same and ends > 0.9, (median, twice, ends))
        if self.cuda:
            self.report.check(f"{case}/recorded", replayed)
            self.never_waits(case, env)

    def never_waits(self, case: str, env: Env) -> None:
        """Replay steps in PyTorch's sync debug mode."""
        action = self.actions(env)[0]
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(2):
                env.step(action)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        self.report.figure(f"{case}/never_waits", True)

    def draws(self) -> None:
        """Check that resets draw the same with the same seed, and else differ."""
        one, again = (self.starts(self.make("HumanoidAMP", {}, "auto")) for _ in range(2))
        other = self.starts(self.make("HumanoidAMP", {}, "auto", seed=1))
        self.report.check("draws/seed_repeats", all(torch.equal(a, b) for a, b in zip(one, again, strict=True)))
        self.report.check("draws/seeds_differ", not torch.equal(one[-1], other[-1]))
        self.report.check("draws/resets_differ", not torch.equal(one[-1], one[-2]))

    def starts(self, env: Env) -> list[Tensor]:
        """Start times in the clips, after each step that reset all environments."""
        task: Any = next(part for part in env.parts() if hasattr(part, "start_time_s"))
        found = []
        for action in self.actions(env):
            if bool(env.step(action).truncated.any()):
                found.append(task.start_time_s.clone())
        return found

    def falls_back(self) -> None:
        """Check that a task with a host sync is stepped eagerly, and that its generator still advances."""
        env = self.make("HumanoidAMP", {}, "auto")
        task: Any = next(part for part in env.parts() if hasattr(part, "reward_terms"))
        terms = task.reward_terms

        def waiting() -> dict[str, Tensor]:
            return {name: term + 0.0 * float(term.sum().item()) for name, term in terms().items()}

        before = env.generator.get_state()
        with replaced(task, "reward_terms", waiting):
            found = self.starts(env)
        moved = not torch.equal(before, env.generator.get_state())
        self.report.check("fallback/goes_on_drawing", moved and not torch.equal(found[-1], found[-2]))
        self.report.check("fallback/default_generator", bool(torch.rand(4, device=self.device).isfinite().all()))
        self.report.figure("fallback/eager", env.step_graph is None if self.cuda else None)
        if self.cuda and env.step_graph is not None:
            self.report.fail("fallback: a step with a host sync was recorded")

    def recovers(self) -> None:
        """Check that both generators are intact after a failed capture."""
        if not self.cuda:
            self.report.figures(
                dict.fromkeys(f"recovery/{name}" for name in ("refused", "own", "default", "records_again"))
            )
            return
        device, own = self.device, torch.Generator(self.device).manual_seed(3)
        pairs = {"own": own, "default": default_generator(device)}
        copies = {name: copied(one) for name, one in pairs.items()}
        try:
            Recorder(device, own).record(lambda: torch.rand(3, device=device).sum().item())
        except RuntimeError as error:
            self.report.figure("recovery/refused", " ".join(str(error).split())[:200])
        else:
            self.report.fail("recovery: work with a host sync was recorded")
        for name, one in pairs.items():
            drawn, expected = (torch.rand(5, device=device, generator=each) for each in (one, copies[name]))
            self.report.check(f"recovery/{name}", torch.equal(drawn, expected))
        x = torch.ones(3, device=device)
        recorder = Recorder(device, own)  # and the next capture succeeds
        y = recorder.record(lambda: x + torch.rand(3, device=device, generator=own))
        recorder.replay()
        self.report.check("recovery/records_again", bool((y >= 1).all() and (y < 2).all()))


def copied(generator: torch.Generator) -> torch.Generator:
    """A copy of a generator."""
    copy = torch.Generator(generator.device)
    copy.set_state(generator.get_state())
    return copy


def difference(env: Env, one: StepResult, other: StepResult) -> Tensor:
    """Maximum absolute difference `(N,)` of observations, last observations and rewards."""
    pairs = ((env.policy_input(one.obs), env.policy_input(other.obs)), (one.reward[:, None], other.reward[:, None]))
    ended = (env.policy_input(one.terminal_obs), env.policy_input(other.terminal_obs))
    return torch.stack([(a - b).abs().amax(-1) for a, b in (*pairs, ended)]).amax(0)


def run(report: Report, options: Options) -> None:
    """The cases, then random numbers, a task that cannot be captured, and a failed capture."""
    bench = Bench(report, options)
    report.figure("environments", bench.count)
    for case in CASES:
        with report.part(case):
            bench.compare(case)
        gc.collect()
    with report.part("draws"):
        bench.draws()
    with report.part("fallback"):
        bench.falls_back()
    with report.part("recovery"):
        bench.recovers()
