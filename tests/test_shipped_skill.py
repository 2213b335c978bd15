"""What `assets/skills/` holds does what its page says, measured on a few short episodes."""

from collections.abc import Callable

import pytest
import torch

import isaachrl
import tasks  # noqa: F401  registers the tasks
from isaachrl.envs import TaskEnv
from isaachrl.hierarchy.skill import Skill
from isaachrl.run.build import build_policy
from isaachrl.run.config.settings import resolve
from isaachrl.run.rollout import run_episodes
from isaachrl.sim import load_robot
from tasks.common.reference import planar_velocity

SECONDS = 4


@pytest.fixture(scope="module")
def skill() -> Skill:
    return Skill.load("assets/skills/humanoid.pt")


def make_env(skill: Skill, num_envs: int) -> TaskEnv:
    changes = {"style_frames": skill.contract.style_frames, "motion": "locomotion"}
    env = isaachrl.make("HumanoidAMP", num_envs=num_envs, seed=11, cfg={"task": changes})
    assert isinstance(env, TaskEnv)
    return env


def roll(skill: Skill, env: TaskEnv, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Forward speed and turn rate of the second half, and who fell, each `(N,)`."""
    obs, fell = env.reset(), torch.zeros(env.num_envs, dtype=torch.bool)
    speed, turn = torch.zeros(env.num_envs), torch.zeros(env.num_envs)
    steps = SECONDS * 30
    for step in range(steps):
        result = env.advance(skill.act(obs["proprioception"], latent))
        obs, fell = result.obs, fell | result.terminated
        if step >= steps // 2:
            velocity = obs["proprioception"].split(
                [size for _, size, _ in env.task.proprioception_layout],
                dim=1,  # type: ignore[attr-defined]
            )
            speed += velocity[4][:, 0]
            turn += velocity[5][:, 2]
    return speed / (steps // 2), turn / (steps // 2), fell


def test_it_fits_the_humanoid(skill: Skill) -> None:
    skill.check(load_robot("humanoid"), 1 / 30, "position")
    assert skill.latent_size == 16
    assert torch.allclose(skill.embedding.prototypes.norm(dim=-1), torch.ones(len(skill.contract.motions)), atol=1e-4)
    assert not any(parameter.requires_grad for parameter in skill.parameters())


def test_its_commands_stand_walk_jog_and_turn_both_ways_without_falling(skill: Skill) -> None:
    motions = ("stand", "walk", "jog", "tight_left", "tight_right")
    latent = torch.stack([skill.prototype_of(motion) for motion in motions]).repeat_interleave(4, dim=0)
    speed, turn, fell = roll(skill, make_env(skill, 20), latent)
    assert fell.sum().item() <= 1
    stand, walk, jog, left, right = speed.view(5, 4).median(1).values.tolist()
    assert abs(stand) < 0.2
    assert 0.7 < walk < 1.3
    assert jog > walk + 0.2
    assert left > 0.4 and right > 0.4
    turn_left, turn_right = turn.view(5, 4).median(1).values[3:].tolist()
    assert turn_left > 0.4 and turn_right < -0.4


def test_it_survives_commands_from_anywhere_on_the_sphere(skill: Skill) -> None:
    latent = skill.project(torch.randn(24, skill.latent_size))
    _, _, fell = roll(skill, make_env(skill, 24), latent)
    assert fell.float().mean().item() < 0.25


def test_its_discriminator_prefers_each_motion_under_its_own_latent(skill: Skill) -> None:
    env = make_env(skill, 64)
    task = env.task
    names = list(skill.contract.motions)
    library = task.library  # type: ignore[attr-defined]
    for motion, wrong in (("stand", "walk_fast"), ("walk_fast", "stand"), ("tight_left", "tight_right")):
        clip = torch.full((64,), library.names.index(motion))
        times = torch.linspace(0.5, 3.0, 64)
        windows = task.style_windows(clip, times)  # type: ignore[attr-defined]
        own, other = (
            skill.style_reward(windows, skill.embedding.prototypes[names.index(name)].expand(64, -1)).mean().item()
            for name in (motion, wrong)
        )
        assert own > other + 0.3, (motion, wrong)


@pytest.mark.learn
@pytest.mark.parametrize("name", ["umaze", "mazes"])
def test_the_shipped_high_levels_find_their_way(name: str, seed: int, reached: Callable[[float, float], None]) -> None:
    """Share of 48 episodes that arrive; of a thousand 0.987 and, on random mazes, 0.974.

    Ten seeds: 0.96 to 1.00 of `umaze`, 0.92 to 1.00 of `mazes`; the bound leaves a margin of 0.07.
    """
    typed = {"mode": "evaluate", "checkpoint": f"assets/skills/{name}.pt", "device": "cpu"}
    env, policy, _ = build_policy(resolve(typed, typed), 48, seed)
    reached(run_episodes(env, policy, 1).summary()["success_rate"], 0.85)


@pytest.mark.learn
def test_the_second_skill_gets_up_from_wherever_it_was_tipped_over_to(
    seed: int, reached: Callable[[float, float], None]
) -> None:
    """Share of 48 bodies that stand again within four seconds.

    Ten seeds: 0.90 to 0.96, median 0.93; the bound leaves a margin of 0.10.
    """
    skill = Skill.load("assets/skills/rising.pt")
    changes = {"fallen": {"share": 1.0}, "track_within_m": 0.0, "episode_steps": 120}  # 4 s
    env = isaachrl.make("HumanoidRise", num_envs=48, seed=seed, cfg={"task": changes})
    obs, none = env.reset(), torch.zeros(48, 0)
    for _ in range(120):
        result = env.advance(skill.act(obs["proprioception"], none))
        obs = result.obs
    assert result.done.all()
    reached(result.metrics["recovery_rate"].mean().item(), 0.8)


def test_the_versatile_skill_goes_all_ways_from_standing_and_waves() -> None:
    skill = Skill.load("assets/skills/versatile.pt")
    motions, each = ("walk", "run", "side_left", "side_right", "back", "wave"), 6
    cfg = {"style_frames": skill.contract.style_frames, "motion": "stand"}
    env = isaachrl.make("HumanoidAMP", num_envs=each * len(motions), seed=11, cfg={"task": cfg})
    latent = torch.stack([skill.prototype_of(motion) for motion in motions]).repeat_interleave(each, dim=0)
    obs, fell, moved = env.reset(), torch.zeros(len(latent), dtype=torch.bool), torch.zeros(len(latent), 2)
    for step in range(SECONDS * 30):
        result = env.advance(skill.act(obs["proprioception"], latent))
        obs, fell = result.obs, fell | result.terminated
        if step >= SECONDS * 15:
            moved += planar_velocity(env.sim)[:, :2] / (SECONDS * 15)
    velocity = dict(zip(motions, moved.view(-1, each, 2).median(1).values.tolist(), strict=True))
    assert fell.float().mean() < 0.25
    assert 0.7 < velocity["walk"][0] < 1.2 and velocity["run"][0] > 1.8
    assert velocity["side_left"][1] > 0.15 and velocity["side_right"][1] < -0.15 and velocity["back"][0] < -0.2
    assert abs(velocity["wave"][0]) < 0.2
