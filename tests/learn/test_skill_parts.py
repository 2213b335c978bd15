"""The parts of the skill learner: rollout and replay buffers, latents, the monitor, the evaluation."""

import pytest
import torch

from isaachrl.envs import StepResult
from isaachrl.learn.skills.buffers import Replay, Rollout
from isaachrl.learn.skills.monitor import CLASSIFY_STEPS, SETTLE_STEPS
from isaachrl.learn.skills.update import Signals
from tests.small_learner import make_learner

CPU = torch.device("cpu")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_rollout_rows_are_time_by_environment() -> None:
    rollout = Rollout(2, 3, {"x": (2,), "end": ()}, ("end",), CPU)
    rollout.put(1, x=torch.arange(6.0).view(3, 2), end=torch.tensor([True, False, True]))
    assert rollout["end"].dtype == torch.bool
    assert rollout.rows()["x"][3:].tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert rollout.rows()["end"].tolist() == [False] * 3 + [True, False, True]


def test_replay_takes_everything_until_full_then_a_share() -> None:
    replay = Replay(4, 1, 1, 0.5, CPU)
    rows = torch.arange(3.0).unsqueeze(1)
    replay.add(rows, rows, generator())
    assert replay.filled == 3
    replay.add(rows + 10, rows + 10, generator())
    assert replay.filled == 4
    replay.add(rows + 100, rows + 100, generator())
    assert int((replay.window >= 100).sum()) == 1  # half of three rows, rounded down
    window, latent = replay.draw(50, generator())
    assert torch.equal(window, latent)


def test_replay_continues_from_its_state() -> None:
    one, two = Replay(5, 1, 0, 0.5, CPU), Replay(5, 1, 0, 0.5, CPU)
    for start in (0.0, 3.0, 6.0):
        one.add(torch.arange(start, start + 3).unsqueeze(1), torch.zeros(3, 0), generator())
    two.load_state_dict(one.state_dict())
    for replay in (one, two):
        replay.add(torch.full((3, 1), 50.0), torch.zeros(3, 0), generator())
    assert torch.equal(one.window, two.window)


def test_commands_are_unit_vectors_of_the_configured_kinds() -> None:
    learner = make_learner("motion", latent={"size": 12, "at_clip": 0.5, "between_clips": 0.3})
    drawn = learner.source.draw(4000)
    assert torch.allclose(drawn.norm(dim=-1), torch.ones(4000), atol=1e-5)
    exact = ((drawn @ learner.source.embedding.prototypes.T).amax(-1) > 0.9999).float().mean().item()
    assert exact == pytest.approx(0.5 + 0.3 / len(learner.demos.names), abs=0.05)  # an arc may begin where it ends


def test_short_and_long_holds_are_alike_in_number() -> None:
    learner = make_learner("motion", latent={"hold_steps_min": 5, "hold_steps_max": 150})
    hold = learner.source.draw_hold(4000)
    assert hold.min().item() == 5 and hold.max().item() == 150
    middle = (5 * 151) ** 0.5  # as many below the geometric middle as above it
    assert (hold < middle).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_ase_commands_cover_the_sphere() -> None:
    drawn = make_learner("ase").source.draw(4000)
    assert drawn.mean(0).abs().max().item() < 0.05


def test_pieces_of_long_clips_are_told_apart() -> None:
    learner = make_learner("motion", latent={"size": 4, "segment_s": 4.0})
    names = learner.demos.names
    assert {"stand#0", "stand#1"} <= set(names)
    clip = learner.task.library.names.index("stand")
    segments = learner.demos.segment_of(torch.tensor([clip, clip, clip]), torch.tensor([0.0, 3.9, 8.0]))
    assert [names[segment] for segment in segments] == ["stand#0", "stand#0", "stand#1"]


def test_monitor_counts_episodes_and_forgets_them_when_read() -> None:
    learner = make_learner("motion", num_envs=2)
    frame = torch.zeros(2, learner.task.style_size)
    flags = torch.tensor([True, False])
    for terminated in (torch.tensor([False, False]), flags):
        learner.monitor.after_step(_result(terminated), frame, learner.held.latent, flags)
    signals = learner.monitor.read()
    assert signals["episode/length"] == 2.0 and signals["episode/termination_rate"] == 1.0
    assert signals["episode/height"] == 7.0
    assert "episode/recovered" not in signals  # a number that the only episode does not have
    assert "episode/length" not in learner.monitor.read()
    learner.monitor.after_step(_result(~flags), frame, learner.held.latent, flags)
    learner.monitor.after_step(_result(flags), frame, learner.held.latent, flags)
    signals = learner.monitor.read()
    assert (signals["episode/length"], signals["episode/length_deterministic"]) == (2.5, 2.0)


def _result(terminated: torch.Tensor) -> StepResult:
    zeros = torch.zeros(len(terminated))
    return StepResult(
        obs={},
        reward=zeros,
        terminated=terminated,
        truncated=torch.zeros_like(terminated),
        terminal_obs={},
        metrics={"height": zeros + 7.0, "recovered": torch.full_like(zeros, torch.nan)},
    )


def test_monitor_recognises_a_motion_that_is_shown_to_it() -> None:
    learner = make_learner("motion", num_envs=2, latent={"size": 12})
    names, space = learner.demos.names, learner.source.embedding
    asked = torch.tensor([names.index("jog"), names.index("jog")])
    shown = torch.stack([learner.demos.windows[names.index(name)] for name in ("jog", "stand")])
    none = torch.zeros(2, dtype=torch.bool)
    for step in range(SETTLE_STEPS + CLASSIFY_STEPS):
        frame = shown[:, step % shown.shape[1], : learner.task.style_size]
        learner.monitor.after_step(_result(none), frame, space.prototypes[asked], ~none)
    assert learner.monitor.read()["skill/recall"] == 0.5


def test_signals_are_means_read_at_once() -> None:
    signals = Signals.empty()
    signals.add({"a": torch.tensor(1.0)})
    signals.add({"a": torch.tensor(3.0), "b": torch.tensor(5.0)})
    assert signals.means() == {"a": 2.0, "b": 5.0}
    assert Signals.empty().means() == {}


def test_step_size_follows_the_divergence() -> None:
    update = make_learner("none", target_kl=0.01, learning_rate=1e-4).policy_update
    update.adapt_learning_rate(0.012)
    assert update.learning_rate == pytest.approx(1e-4)
    update.adapt_learning_rate(0.1)
    assert update.learning_rate == pytest.approx(1e-4 / 1.2)
    for _ in range(100):
        update.adapt_learning_rate(0.0)
    assert update.learning_rate == pytest.approx(1e-3)
