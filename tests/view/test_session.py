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


@pytest.mark.parametrize("ended", ["asked", "terminated"])
def test_a_push_ends_with_the_episode(ended):
    session = make(skill="none", episode_steps=2 if ended == "terminated" else 100)
    session.step()
    session.push(50.0, SIDEWAYS)
    session.step()
    if ended == "asked":
        assert session.sim.worlds.xfrc_applied[:, 1, 1].tolist() == pytest.approx([50.0 / PUSH_S] * 2)
        session.reset()
        session.step()
    assert session._steps_left, "the push would go on"
    assert not session.sim.worlds.xfrc_applied.any()


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


def steered(name, target, **cfg):
    """A session of a task after a step with this target."""
    session = make(name, **cfg)
    session.step()
    assert list(session.controls) == list(target)
    session.target = target
    session.step()
    return session


def test_the_box_is_to_be_pushed_to_another_place():
    session = steered("HumanoidPush", {"goal_x_m": 2.0, "goal_y_m": -3.0})
    assert session.task.goal_w.tolist() == [[2.0, -3.0]] * 2
    assert session.sim.mocap_pos_w[:, 0, :2].tolist() == [[2.0, -3.0]] * 2, "its marker, too"


def test_the_hand_is_to_reach_another_place_that_moves_with_the_body():
    session = steered("HumanoidReach", {"ahead_m": 0.5, "left_m": -0.25, "height_m": 1.5})
    session.sim.root_pos_w[:, :2] += 2.0
    session.task.steer(session.target)
    place_h = session.task.observe_task()
    assert torch.allclose(place_h[:, :2], torch.tensor([0.5, -0.25]), atol=1e-5)
    assert session.sim.mocap_pos_w[:, 0, 2].tolist() == [1.5] * 2, "its marker, too"


def test_where_to_face_is_steered_apart_if_it_is_free():
    session = steered("HumanoidSteering", {"direction_deg": 90.0, "facing_deg": 180.0, "speed_mps": 1.0}, facing="any")
    assert torch.allclose(session.task.direction_w, torch.tensor([0.0, 1.0]), atol=1e-6)
    assert torch.allclose(session.task.facing_w, torch.tensor([-1.0, 0.0]), atol=1e-6)


def test_the_ball_is_to_roll_another_way():
    session = steered("HumanoidDribble", {"direction_deg": 90.0, "speed_mps": 0.7})
    assert torch.allclose(session.task.direction_w, torch.tensor([0.0, 1.0]), atol=1e-6)
    assert session.task.speed_mps.tolist() == pytest.approx([0.7, 0.7])


def test_the_path_goes_on_with_another_speed_and_turn_rate():
    session = make("HumanoidTrajectory")
    session.step()
    task = session.task
    here = task._points_w(task._ahead_s[:1])
    session.target = {"speed_mps": 1.0, "turn_rad_s": 0.5}
    session.step()
    points = task._points_w(task._ahead_s - session.env.step_s)  # the first of them is where it was steered
    assert torch.allclose(points[:, :1], here, atol=0.02), "it goes on from where it was"
    steps = points.diff(dim=1)
    assert torch.allclose(steps[:, 1:].norm(dim=-1), torch.tensor(0.3), atol=0.005), "1 m/s for 0.3 s"
    yaw = torch.atan2(steps[..., 1], steps[..., 0])
    turned = torch.remainder(yaw[:, 2:] - yaw[:, 1:-1] + torch.pi, 2 * torch.pi) - torch.pi
    assert torch.allclose(turned, torch.tensor(0.15), atol=0.01), "0.5 rad/s for 0.3 s"
    session.step()
    assert task._points_w(task._ahead_s[:1]).sub(here).norm(dim=-1).max() < 0.4, "a third of a second further"


def test_a_pillar_is_put_up_where_the_sliders_are_moved_to():
    session = steered("HumanoidTopple", {"pillar_x_m": 4.0, "pillar_y_m": 1.0})
    assert torch.allclose(session.sim.object_pos_w[:, 0, :2], torch.tensor([4.0, 1.0]), atol=0.01)
    still = torch.zeros(2, 1, 3)
    away, lying = torch.tensor([[[8.0, 8.0, 0.3]]] * 2), torch.tensor([[[0.7071, 0.7071, 0.0, 0.0]]] * 2)
    session.sim.place_objects(torch.ones(2, 1, dtype=torch.bool), away, lying, still, still)
    session.step()
    assert (session.sim.object_pos_w[:, 0, :2] > 7.0).all(), "it stays where it has got to"


def test_a_ball_is_thrown_from_where_the_slider_is_moved_to():
    session = steered("HumanoidDodge", {"throw_from_deg": 90.0}, hold_s=[60.0, 60.0])
    assert session.task.thrown.tolist() == [2.0, 2.0], "the first throw begins the episode"
    towards = session.sim.object_linvel_w[:, 1, 1]
    assert (towards < -4.0).all(), "it flies along -y"
    session.step()
    assert session.task.thrown.tolist() == [2.0, 2.0]


def test_ants_walk_to_another_target():
    session = steered("AntMaze", {"target_x_m": 8.0, "target_y_m": 2.0})
    assert session.task.target.tolist() == [[8.0, 2.0]] * 2
    assert session.sim.mocap_pos_w[:, -2, :2].tolist() == [[8.0, 2.0]] * 2, "its marker, too"
    height = steered("AntFall", {"target_x_m": 0.0, "target_y_m": 20.0}).task.target
    assert height.tolist() == [[0.0, 20.0, 4.5]] * 2, "the height remains"


def test_an_apple_is_put_where_the_sliders_are_moved_to():
    session = steered("AntGather", {"apple_x_m": 5.0, "apple_y_m": -4.0})
    assert session.task.objects[:, 0].tolist() == [[5.0, -4.0]] * 2 and session.task.there[:, 0].all()
    first = len(session.sim.scene.boxes)
    assert session.sim.mocap_pos_w[:, first, :2].tolist() == [[5.0, -4.0]] * 2
    session.task.there[:, 0] = False
    session.step()
    assert not session.task.there[:, 0].any(), "it can be picked up"


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


def test_what_another_thread_takes_back_within_a_step_does_no_harm(monkeypatch):
    session = make()
    given = {"choice": torch.zeros(session.env.action_size), "target": {}}

    def once(name):
        return property(lambda self: given.pop(name, None), lambda self, value: None)

    monkeypatch.setattr(session.task, "steer", lambda values: values.keys())
    monkeypatch.setattr(type(session), "choice", once("choice"), raising=False)
    monkeypatch.setattr(type(session), "target", once("target"), raising=False)
    session.step()
    assert not given
