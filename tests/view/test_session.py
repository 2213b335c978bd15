"""A session without window or browser: what the user asks for happens to the worlds."""

from pathlib import Path

import pytest
import torch

import isaachrl
import tasks
from isaachrl.envs.env import innermost
from isaachrl.errors import ConfigError
from isaachrl.hierarchy.skill import Skill
from isaachrl.learn.skills.policy import SkillPolicy
from isaachrl.run.rollout import RandomPolicy
from isaachrl.view.native import Keys
from isaachrl.view.session import PUSH_S, Session

assert tasks
ROOT = Path(__file__).resolve().parents[2]
SIDEWAYS = torch.pi / 2


class Still:
    """A policy of zeros that counts its restarts."""

    def __init__(self, env):
        self.env, self.restarts = env, 0

    def act(self, obs):
        return torch.zeros(self.env.num_envs, self.env.action_size)

    def restart(self, mask):
        self.restarts += int(mask[0])


def make(task="HumanoidLocation", policy=Still, num_envs=2, **cfg):
    torch.set_num_threads(1)
    env = isaachrl.make(task, num_envs=num_envs, cfg={"task": cfg}, device="cpu", seed=0)
    session = Session(env, policy(env))
    session.speed = 1e6  # not in real time
    return session


def sideways_speed(session, pushed):
    session.step()
    if pushed:
        session.push(50.0, SIDEWAYS)
    session.step()
    return session.sim.root_linvel_w[:, 1].clone()


@pytest.mark.parametrize("disturbed", [0.0, 0.01], ids=["undisturbed", "disturbed"])
def test_a_push_changes_the_momentum_and_ends(disturbed):
    cfg = {"disturb": {"push": disturbed}, "min_height_m": {"head": -1.0}, "skill": "none"}
    runs = {pushed: make(**cfg) for pushed in (False, True)}
    speeds = {pushed: sideways_speed(session, pushed) for pushed, session in runs.items()}
    after = round(PUSH_S / innermost(runs[True].env).step_s)
    for _ in range(after - 1):
        for session in runs.values():
            session.step()
    for pushed, session in runs.items():
        momentum = (innermost(session.env).sim.root_linvel_w[:, 1]).clone()
        speeds[pushed] = momentum
    assert (speeds[True] > speeds[False] + 0.3).all(), "50 N s on a body of some 50 kg"
    before = {pushed: session.sim.root_linvel_w[:, 1].clone() for pushed, session in runs.items()}
    for session in runs.values():
        session.step()
    gained = {pushed: session.sim.root_linvel_w[:, 1] - before[pushed] for pushed, session in runs.items()}
    assert (gained[True] - gained[False] < 0.25).all(), "the push is over"


def test_steps_follow_the_hierarchy_and_the_episode():
    session, frames = make(episode_steps=10), []
    session.on_frame = lambda: frames.append(session.time_s)
    session.step()
    steps = session.env.cfg.steps
    assert len(frames) == steps and session.time_s == pytest.approx(steps / 30)
    assert session.policy.restarts == 1
    session.step()
    assert session.episodes == 1 and session.policy.restarts == 2
    assert set(session.terms) >= {"reward", "position", "velocity"} and len(session.terms["reward"]) == 2
    session.close()
    session.step()
    assert len(frames) == 2 * steps, "a closed session no longer observes"


def test_reset_pause_and_single_steps():
    session = make()
    session.step()
    session.step()
    moved = session.sim.qpos.clone()
    session.paused = True
    turns = iter(range(3))
    session.run(lambda: next(turns, None) is None)
    assert torch.equal(session.sim.qpos, moved)
    session.step_once()
    turns = iter(range(2))
    session.run(lambda: next(turns, None) is None)
    assert not torch.equal(session.sim.qpos, moved) and session.policy.restarts == 1
    session.reset()
    session.step()
    assert session.policy.restarts == 2 and innermost(session.env).progress.tolist() == [5, 5]


def test_the_targets_of_tasks_are_steered():
    session = make()
    session.target = dict.fromkeys(session.controls, 3.0)
    session.step()
    assert list(session.controls) == ["target_x_m", "target_y_m"]
    assert session.task.target_w.tolist() == [[3.0, 3.0]] * 2
    assert session.sim.mocap_pos_w[:, 0, :2].tolist() == [[3.0, 3.0]] * 2, "its marker, too"
    steering = make("HumanoidSteering")
    steering.target = {"direction_deg": 90.0, "speed_mps": 1.5}
    steering.step()
    assert list(steering.controls) == ["direction_deg", "speed_mps"]
    assert torch.allclose(steering.task.direction_w, torch.tensor([0.0, 1.0]), atol=1e-6)
    assert steering.task.speed_mps.tolist() == [1.5, 1.5]


def test_the_goal_of_a_maze_moves_to_the_nearest_free_cell():
    session = make("HumanoidHRLMaze", layout="umaze")
    session.step()
    task = session.task
    session.target = {"goal_x_m": 0.0, "goal_y_m": 0.0}  # in the wall in the middle
    session.step()
    walls = task.bank.walls[0].flatten()
    assert not walls[task.goal].any() and len(set(task.goal.tolist())) == 1
    distance = task.goal_w[0].norm()
    assert 0.9 * task.bank.cell_m < distance < 1.5 * task.bank.cell_m
    assert torch.allclose(session.sim.mocap_pos_w[:, -1, :2], task.goal_w)
    assert task.reward_terms()["progress"].abs().max() < 1.0, "moving the goal is no progress"


def test_motions_of_the_skill_replace_the_high_level():
    session = make()
    assert {"stand", "walk"} <= set(session.choices)
    session.choice = session.choices["walk"]
    session.step()
    assert torch.equal(session.actions[-1], session.choices["walk"])
    session.choice = None
    session.step()
    assert not session.actions[-1].any()


def test_options_can_be_chosen():
    session = make("HumanoidProgram", policy=lambda env: RandomPolicy(env, 0))
    assert list(session.choices) == session.env.skill.names
    session.choice = session.choices[session.env.skill.names[-1]]
    session.step()
    assert int(session.actions[-1].argmax()) == len(session.choices) - 1


class Held:
    """Latents that are held for ever."""

    def __init__(self, latent):
        self.latent, self.hold = latent, torch.zeros(len(latent))

    def restart(self, mask):
        pass

    renew = count_step = lambda self: None


def test_a_skill_itself_is_commanded():
    stand_and_jog = Skill.load(ROOT / "assets/skills/agile.pt")
    stand = stand_and_jog.prototype_of("stand").expand(2, -1)
    session = make(skill="none", policy=lambda env: SkillPolicy(stand_and_jog, Held(stand)), start_motion="stand")
    for name, low, high in (("jog", 1.2, 3.0), (None, 0.0, 0.6)):
        session.choice = None if name is None else session.choices[name]
        for _ in range(40):
            session.step()
        speed = session.sim.root_linvel_w[:, :2].norm(dim=-1)
        assert ((low < speed) & (speed < high)).all(), f"{name}: {speed.tolist()} m/s"


def test_tasks_without_bodies_are_refused():
    with pytest.raises(ConfigError, match="task=TaxiFuel has no bodies.*type mode=play"):
        make("TaxiFuel")


def test_keys_of_the_window():
    session = make()
    keys = Keys(session)
    keys(32)
    assert session.paused
    session.speed = 1.0
    keys(45)
    assert session.speed == 0.25
    keys(61)
    assert keys.command == "stand" and torch.equal(session.choice, session.choices["stand"])
    session.paused, session.speed = False, 1e6
    session.step()
    before = session.sim.root_linvel_w.clone()
    keys(263)
    session.step()
    assert (session.sim.root_linvel_w[:, 1] - before[:, 1] > 0.3).all(), "the left arrow pushes along y"
