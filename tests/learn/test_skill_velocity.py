"""The pay for going where the command's motion goes, by numbers worked out by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from isaachrl.errors import ConfigError
from isaachrl.learn.skills.velocity import VelocityReward
from isaachrl.motion.velocity import leg_scale
from isaachrl.nn.motion_embedding import MotionEmbedding
from isaachrl.sim import load_robot
from tests.small_learner import make_learner

# height, velocity (3), angular velocity (3)
LAYOUT = [("root_height", 1, "m"), ("root_linvel_h", 3, "m/s"), ("root_angvel_h", 3, "rad/s")]


def imitation(layout: list[tuple[str, int, str]] = LAYOUT, robot: str = "humanoid") -> Any:
    return SimpleNamespace(style_layout=layout, sim=SimpleNamespace(robot=load_robot(robot)))


def pace(robot: str = "humanoid") -> tuple[VelocityReward, MotionEmbedding]:
    """Two motions: 1 m/s straight on, and turning at 1 rad/s."""
    features = torch.zeros(2, 14)
    features[0, 1], features[1, 6] = 1.0, 1.0
    embedding = MotionEmbedding(features, torch.ones(14), 4)
    return VelocityReward(imitation(robot=robot), embedding, 0.05), embedding


def test_the_commanded_velocity_pays_one_and_others_less() -> None:
    reward, embedding = pace()
    newest = torch.tensor([[0.9, 1.0, 0.0, 5.0, 5.0, 5.0, 0.0], [0.9, 1.5, 0.0, 0.0, 0.0, 0.0, 0.7]])
    window = torch.cat((newest, torch.full((2, 7), 99.0)), dim=1)  # older frames do not matter
    paid = reward(window, embedding.prototypes[:1].expand(2, -1))
    # 0.5 m/s and 0.7 rad/s off: exp(-1 - 1)
    assert paid.tolist() == pytest.approx([1.0, 0.1353], abs=1e-3)


def test_the_same_motion_pays_by_its_command() -> None:
    reward, embedding = pace()
    turning = torch.tensor([[0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    assert reward(turning, embedding.prototypes[1:]).item() == pytest.approx(1.0, abs=1e-3)
    # under `walk`: 1 m/s and 1 rad/s off: exp(-4) exp(-2.041)
    assert reward(turning, embedding.prototypes[:1]).item() == pytest.approx(0.01832 * 0.12993, abs=1e-4)


def test_smaller_robots_are_paid_at_equal_froude_numbers() -> None:
    assert leg_scale(load_robot("humanoid")) == 1.0  # exactly
    assert leg_scale(load_robot("g1")) == pytest.approx(0.66 / 0.88, abs=0.01)  # of the hips in the standing pose
    assert leg_scale(load_robot("ant")) == 1.0  # has neither pelvis nor feet
    reward, embedding = pace("g1")
    off = torch.tensor([[0.6, 1.0 + 0.5 * 0.75**0.5, 0.0, 0.0, 0.0, 0.0, 0.7 / 0.75**0.5]])
    assert reward(off.repeat(1, 2), embedding.prototypes[:1]).item() == pytest.approx(0.1353, abs=1e-3)  # exp(-1 - 1)


def test_quick_turns_are_rewarded_on_a_wider_scale() -> None:
    features = torch.zeros(2, 14)
    features[0, 6], features[1, 1] = -2.0, 1.0
    embedding = MotionEmbedding(features, torch.ones(14), 4)
    standing = torch.tensor([[0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    paid = VelocityReward(imitation(), embedding, 0.05)(standing, embedding.prototypes[:1])
    # 2 rad/s off, in units of 0.6 * 2 rad/s: exp(-2.778)
    assert paid.item() == pytest.approx(0.0622, abs=1e-3)


def test_quick_gaits_are_rewarded_on_a_wider_scale() -> None:
    features = torch.zeros(2, 14)
    features[0, 1:3], features[1, 6] = torch.tensor([2.4, 1.8]), 1.0  # 3 m/s
    embedding = MotionEmbedding(features, torch.ones(14), 4)
    half = torch.tensor([[0.9, 1.2, 0.9, 0.0, 0.0, 0.0, 0.0]])
    paid = VelocityReward(imitation(), embedding, 0.05)(half, embedding.prototypes[:1])
    assert paid.item() == pytest.approx(0.2096, abs=1e-3)  # 1.5 m/s off, in units of 0.4 * 3 m/s: exp(-1.5625)


def test_frames_without_velocities_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"root_angvel_h.*train\.reward\.velocity=0"):
        VelocityReward(imitation(LAYOUT[:2]), pace()[1], 0.05)


def test_the_learner_pays_it_to_commanded_motions_only() -> None:
    paid = make_learner("motion", reward={"velocity": 0.5}).iterate()
    assert 0.0 < paid["reward/velocity"] <= 1.0
    assert paid["reward/total"] == pytest.approx(paid["reward/style"] + 0.5 * paid["reward/velocity"], abs=1e-4)
    for latents, weight in (("motion", 0.0), ("none", 0.5), ("ase", 0.5)):
        assert "reward/velocity" not in make_learner(latents, reward={"velocity": weight}).iterate()


def test_clip_weights_set_the_distribution_of_latents() -> None:
    learner = make_learner("motion", latent={"at_clip": 1.0, "between_clips": 0.0})
    weights = torch.zeros_like(learner.demos.weights)
    weights[1] = 1.0
    learner.source.weights = weights
    assert torch.allclose(learner.source.draw(50), learner.source.embedding.prototypes[1].expand(50, -1), atol=1e-5)


def test_every_group_of_the_style_frame_counts_alike() -> None:
    learner = make_learner("motion")
    sizes = [size for _, size, _ in learner.task.style_layout]
    scale = learner.demos.scale[: sum(sizes)]
    deviation = learner.demos.windows[..., : sum(sizes)].flatten(0, 1).std(0).clamp_min(0.1)
    # one deviation off everywhere: the squared distance of each group is the same
    parts = (deviation / scale).square().split(sizes)
    total = torch.stack([part.sum() for part in parts])
    assert torch.allclose(total, torch.full_like(total, sum(sizes) / len(sizes)), rtol=1e-4)
