"""How often motions are practised."""

import pytest
import torch

from isaachrl.learn.skills.priorities import Priorities
from tests.small_learner import make_learner


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def test_motions_that_earn_little_get_more_weight() -> None:
    priorities = Priorities(rows(0.5, 0.25, 0.25), torch.eye(3), factor=2.0)
    assert priorities.shares().tolist() == [0.5, 0.25, 0.25]  # nothing is known yet
    latent = torch.eye(3)[[0, 0, 1, 1, 2]]
    counted = torch.ones(5, dtype=torch.bool)
    priorities.update(latent, rows(1.0, 1.0, 0.5, 0.5, 0.0), torch.zeros(5), counted)
    assert priorities.means().tolist() == [1.0, 0.5, 0.0]
    # 0.5, 0.25 * (1 + 2 * 0.5), 0.25 * (1 + 2)
    assert priorities.shares().tolist() == pytest.approx([0.5 / 1.75, 0.5 / 1.75, 0.75 / 1.75])


def test_a_fall_counts_as_a_second_without_reward() -> None:
    priorities = Priorities(rows(0.5, 0.5), torch.eye(2), factor=1.0)
    latent, counted = torch.eye(2)[[0, 0]], torch.ones(2, dtype=torch.bool)
    priorities.update(latent, rows(1.0, 1.0), rows(0.0, 1.0), counted)
    assert priorities.means()[0].item() == pytest.approx(2.0 / 32.0)


def test_only_prototypes_and_counted_rows_count() -> None:
    priorities = Priorities(rows(0.5, 0.5), torch.eye(2), factor=1.0)
    latent = torch.tensor([[1.0, 0.0], [0.8, 0.6], [1.0, 0.0]])
    priorities.update(latent, rows(0.5, 0.1, 0.1), torch.zeros(3), torch.tensor([True, True, False]))
    assert priorities.means().tolist() == [0.5, 0.0]


def test_commands_and_starts_follow_the_priorities() -> None:
    learner = make_learner("motion", num_envs=64, latent={"size": 12, "prioritize": 50.0})
    assert learner.priorities is not None
    best = learner.demos.names.index("walk")
    prototypes = learner.source.embedding.prototypes
    learner.priorities.earned.fill_(0.0)
    learner.priorities.earned[best], learner.priorities.steps[:] = 1e6, 1e6
    learner.iterate()  # from now on practises what has earned nothing
    start_weights = learner.task.start_weights
    assert start_weights is not None and start_weights.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert start_weights.argmin() == best and learner.source.weights[best] < 0.5 * learner.demos.weights[best]
    learner.env.reset()
    assert (learner.task.start_clip != best).float().mean() > 0.9
    drawn = (learner.source.draw(2000) @ prototypes.T).argmax(-1)
    assert (drawn == best).float().mean() < 0.1
    resumed = make_learner("motion", num_envs=64, latent={"size": 12, "prioritize": 50.0})
    resumed.load_state_dict(learner.state_dict())
    assert torch.equal(resumed.source.weights, learner.source.weights)
    assert torch.equal(resumed.task.start_weights, start_weights)  # pyright: ignore[reportArgumentType]
