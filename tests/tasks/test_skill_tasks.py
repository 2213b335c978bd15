"""Tasks over a skill: rewards, targets and scores by hand, on the flat task (motor targets as actions)."""

import math

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from tasks.common import draws
from tasks.common.frames import HeadingFrame, heading_frame, unit
from tasks.common.skill_task import SkillTask
from tasks.humanoid_trajectory import KNOT_S, HumanoidTrajectoryCfg, random_paths

assert tasks
POINTS_W = ("target_w", "goal_w", "start_w")  # of the tasks' tensors in the world frame; the others are directions
NAMES = ("Dodge", "Dribble", "Location", "Push", "Reach", "Steering", "Topple", "Trajectory")


def make(name, n=2, **cfg):
    """The task in N worlds, without a skill."""
    return isaachrl.make(
        f"Humanoid{name}", n, sim="mujoco", device="cpu", cfg={"task": {"skill": "none", "start_motion": "stand"} | cfg}
    )


def put(env, xy=(0.0, 0.0), yaw=0.0, velocity=(0.0, 0.0)):
    """Place every robot upright."""
    qpos, qvel = env.sim.qpos.clone(), torch.zeros_like(env.sim.qvel)
    qpos[:, :2], qpos[:, 2] = torch.tensor(xy), 0.9
    qpos[:, 3:7] = rotations.from_yaw(torch.tensor(yaw))
    qvel[:, :2] = torch.tensor(velocity)
    env.sim.reset(torch.ones(env.num_envs, dtype=torch.bool), qpos, qvel)


def every(env):
    return torch.ones(env.num_envs, dtype=torch.bool)


def still(env):
    """Actions that hold the default pose."""
    robot, task = env.sim.robot, env.task
    return ((torch.zeros(robot.num_dofs) - task.action_map.offset) / task.action_map.scale).expand(env.num_envs, -1)


def place(env, index, pos_w, linvel_w=(0.0, 0.0, 0.0), quat=(1.0, 0.0, 0.0, 0.0), worlds=slice(None)):
    """Move one object of some worlds."""
    n, k = env.sim.object_pos_w.shape[:2]
    mask = torch.zeros(n, k, dtype=torch.bool)
    mask[worlds, index] = True
    wide = [torch.tensor(value).expand(n, k, -1) for value in (pos_w, quat, linvel_w)]
    env.sim.place_objects(mask, *wide, torch.zeros(n, k, 3))


def scatter(env, seed):
    """Random root orientations, poses and velocities of the objects, points and directions of the task."""
    sim, generator = env.sim, torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    qpos = sim.qpos.clone()
    qpos[:, 3:7] = rotations.normalize(normal(env.num_envs, 4))
    sim.reset(every(env), qpos, torch.zeros_like(sim.qvel))
    pos, quat, velocities = (normal(env.num_envs, sim.object_pos_w.shape[1], size) for size in (3, 4, 6))
    sim.place_objects(torch.ones(pos.shape[:2], dtype=torch.bool), pos, quat, *velocities.chunk(2, dim=-1))
    for name in (name for name in env.task.STATE if name.endswith("_w")):
        values = normal(*getattr(env.task, name).shape)
        setattr(env.task, name, values if name in POINTS_W else unit(values)[0])


def carry(env, yaw, xy):
    """Turn body, objects, points and directions about the z axis, then move them."""
    sim, task, turn, move = env.sim, env.task, rotations.from_yaw(torch.tensor(yaw)), torch.tensor([*xy, 0.0])
    rotate = lambda vectors: vectors @ rotations.to_matrix(turn).T  # noqa: E731
    quat = rotations.multiply(turn, sim.object_quat_w)
    linvel, angvel = rotate(sim.object_linvel_w), rotate(sim.object_angvel_w)
    objects = (rotate(sim.object_pos_w) + move, quat, linvel, angvel)
    qpos, qvel = sim.qpos.clone(), sim.qvel.clone()
    qpos[:, :3], qpos[:, 3:7] = rotate(qpos[:, :3]) + move, rotations.multiply(turn, qpos[:, 3:7])
    qvel[:, :3] = rotate(qvel[:, :3])
    sim.reset(every(env), qpos, qvel)
    sim.place_objects(torch.ones(objects[0].shape[:2], dtype=torch.bool), *objects)
    for name in (name for name in task.STATE if name.endswith("_w")):
        before = getattr(task, name)
        values = rotate(torch.nn.functional.pad(before, (0, 3 - before.shape[1])))
        setattr(task, name, (values + move if name in POINTS_W else values)[:, : before.shape[1]])


@pytest.mark.parametrize("name", NAMES)
def test_observations_do_not_depend_on_where_the_world_is_and_how_it_is_turned(name):
    env = make(name, 4)
    scatter(env, 0)
    before = env.task.observe_task()
    carry(env, 2.0, (3.0, -1.0))
    assert_close(env.task.observe_task(), before, atol=1e-4, rtol=0)
    scatter(env, 1)
    assert (env.task.observe_task() - before).abs().amax() > 0.1, "but on what is where"


# a body at (1, 2) looks along y: what lies along y is ahead, along -x to the left
OBSERVED = {
    "Steering": (
        {"direction_w": (1.0, 0.0), "facing_w": (0.6, 0.8), "speed_mps": 1.5}, (),
        (0.0, -1.0, 1.5, 0.8, -0.6),
    ),
    "Reach": ({"target_w": (-1.0, 2.5, 1.4)}, (), (0.5, 2.0, 0.5)),  # the root is 0.9 m high
    "Push": (
        {"goal_w": (-2.0, 5.0)}, [((1.0, 5.0, 0.45), (0.5, 0.25, 0.0))],
        (1.0, 0.0, 0.0, -1.0, 0.25, -0.5, 1.0, -0.65 / 3, 1.0, 1.0, 0.0, 1.0, 1.0),
    ),
    "Topple": (
        {}, [((-2.0, 6.0, 0.9), (0.5, 0.25, 0.0), (math.sqrt(0.75), 0.5, 0.0, 0.0))],  # 60 degrees about x
        (0.8, 0.6, 0.8, 0.6, 1.0, -math.sqrt(0.75), 0.0, 0.5, 0.25, -0.5),
    ),
    "Dribble": (
        {"direction_w": (-0.6, 0.8), "speed_mps": 0.7}, [((2.5, 5.0, 0.15), (0.5, 0.25, 1.0))],
        (1.0, -0.5, -0.25, 0.25, -0.5, 1.0, 0.8, 0.6, 0.7),
    ),
    "Dodge": (  # the second ball is the newest
        {"thrown": 2.0}, [((6.0, 2.0, 0.4), (-4.0, 0.0, 1.0)), ((1.0, 7.0, 1.4), (0.0, -3.0, 2.0))],
        (1.0, 0.0, 0.1, 0.0, -1.0, -0.1, -3.0, 0.0, 2.0, 0.0, 4.0, 1.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OBSERVED)
def test_observations_by_hand(name):
    targets, objects, expected = OBSERVED[name]
    env = make(name)
    put(env, xy=(1.0, 2.0), yaw=math.pi / 2)
    for target, value in targets.items():
        getattr(env.task, target)[:] = torch.tensor(value)
    for index, state in enumerate(objects):
        place(env, index, *state)
    assert_close(env.task.observe_task(), torch.tensor(expected).expand(2, -1), atol=1e-5, rtol=0)


def test_the_heading_frame_shows_what_is_ahead_and_to_the_left():
    frame = HeadingFrame(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]]))  # looks along y
    assert_close(frame.points(torch.tensor([[1.0, 5.0]])), torch.tensor([[3.0, 0.0]]))
    assert_close(frame.points(torch.tensor([[[0.0, 2.0], [1.0, 1.0]]])), torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]]))
    assert_close(frame.vectors(torch.tensor([[2.0, 0.0]])), torch.tensor([[0.0, -2.0]]))
    assert_close(frame.to_world(torch.tensor([[3.0, 0.5]])), torch.tensor([[0.5, 5.0]]))


def test_draws_stay_in_their_ranges():
    generator = torch.Generator().manual_seed(0)
    numbers = draws.uniform(1000, (2.0, 3.0), generator)
    assert 2.0 <= numbers.min() < 2.01 and 2.99 < numbers.max() < 3.0
    angles = draws.angles(1000, generator)
    assert angles.min() < -3.1 and angles.max() > 3.1
    assert_close(draws.direction(torch.tensor(math.pi / 2)), torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)
    assert unit(torch.zeros(1, 2))[0].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", NAMES)
def test_bodies_start_where_the_task_begins(name):
    env = make(name, 8)
    yaw = rotations.heading(env.sim.root_quat_w)
    assert yaw.std() > 0.5 and env.sim.root_pos_w[:, :2].abs().max() < 0.1
    assert set(env.task.SCORE) <= set(env.task.cfg.reward), "what is scored has a weight"


def test_location_rewards_by_hand():
    env = make("Location")
    put(env, yaw=math.pi / 2, velocity=(0.6, 0.0))
    env.task.target_w[:] = torch.tensor([2.0, 0.0])
    terms = env.task.rewards()
    assert_close(terms["position"], torch.full((2,), math.exp(-0.5 * 4.0)))
    assert_close(terms["velocity"], torch.full((2,), math.exp(-4 * 0.4**2)), rtol=1e-3, atol=0)
    assert_close(terms["facing"], torch.zeros(2), rtol=0, atol=1e-5)  # the target is on the right
    assert_close(terms["progress"], torch.full((2,), 0.6), rtol=1e-3, atol=0)
    env.task.target_w[:] = torch.tensor([-2.0, 0.0])
    assert env.task.rewards()["velocity"].tolist() == [0.0, 0.0], "moving away"
    env.task.target_w[:] = torch.tensor([0.5, 0.0])
    near = env.task.rewards()
    assert near["velocity"].tolist() == near["facing"].tolist() == [1.0, 1.0]


def test_location_observes_the_target_in_the_heading_frame():
    env = make("Location")
    put(env, xy=(1.0, 1.0), yaw=math.pi / 2)
    env.task.target_w[:] = torch.tensor([1.0, 4.0])
    assert_close(env.task.observe_task()[0], torch.tensor([0.3, 0.0, 1.0, 0.0, 1.0]), atol=1e-5, rtol=0)


def test_the_old_target_is_rewarded_and_the_new_one_observed():
    env = make("Location", 1, hold_s=[0.1, 0.1])
    old = env.task.target_w.clone()
    env.task.steps_left[:] = 1.0  # due at the end of this step
    result = env.step(still(env))
    distance = (old - env.sim.root_pos_w[:, :2]).norm(dim=-1)
    assert_close(result.terms["position"], 0.5 * torch.exp(-0.5 * distance.square()))
    assert not torch.equal(env.task.target_w, old)
    shown = heading_frame(env.sim).points(env.task.target_w) / 10.0
    assert_close(result.obs["task"][:, :2], shown)


def test_the_score_counts_its_own_terms_until_the_first_fall():
    env = make("Location")
    put(env)
    expected = torch.zeros(2)
    for _ in range(3):
        result = env.advance(still(env))
        terms = env.task.reward_terms()
        expected += 0.5 * terms["position"] + 0.4 * terms["velocity"] + 0.1 * terms["facing"]
    assert_close(result.metrics["score"], expected)
    env.task.falls[0] = 1.0
    later = env.advance(still(env)).metrics["score"]
    assert later[0] == expected[0] and later[1] > expected[1]


def step_at(env, *heights_m):
    """The end of a control step in which the pelvis is so high in each world: weighted terms, ends, and metrics."""
    env.sim.body_pos_w[:, 0, 2] = torch.tensor(heights_m)
    env.task.after_physics()
    terms, ended = env.task.reward_terms(), env.task.terminated()
    env.task.after_reward(terms)
    return terms, ended.tolist(), env.task.metrics()


def test_a_body_may_get_up_in_time_is_paid_nothing_meanwhile_and_has_fallen():
    env = make("Location", 3, get_up_s=0.6, hold_s=[])  # 18 control steps
    put(env)
    env.task.target_w[:] = torch.tensor([0.5, 0.0])
    terms, ended, metrics = step_at(env, 0.9, 0.9, 0.9)
    assert (terms["position"] > 0).all() and metrics["fall_rate"].tolist() == [0, 0, 0]
    score = metrics["score"].clone()
    for step in range(1, 19):  # the first stays up, the second is up from the third step on, the third too late
        terms, ended, metrics = step_at(env, 0.9, 0.3 if step < 3 else 0.9, 0.3)
        assert terms["fall"].tolist() == [0.0, float(step == 1), float(step == 1)]
        for name in ("position", "velocity", "facing"):
            assert terms[name].gt(0).tolist() == [True, step >= 17, False], "0.5 s after it stood up"
        assert ended == [False, False, step == 18]
        assert metrics["fall_rate"].tolist() == metrics["falls"].tolist() == [0, 1, 1]
    assert metrics["rises"].tolist() == [0, 1, 0]
    assert torch.equal(metrics["score"][1:], score[1:]) and metrics["score"][0] > score[0]
    terms, ended, metrics = step_at(env, 0.9, 0.3, 0.3)
    assert terms["fall"].tolist() == [0, 1, 0] and metrics["falls"].tolist() == [0, 2, 1] and not ended[1]
    env.task.reset(every(env))
    assert not env.task.fallen.any() and env.task.metrics()["fall_rate"].tolist() == [0, 0, 0]


def test_without_time_to_get_up_a_fall_ends_the_episode():
    env = make("Location", 2)
    put(env)
    terms, ended, metrics = step_at(env, 0.9, 0.3)
    assert ended == [False, True] and metrics["fall_rate"].tolist() == [0, 1] and not {"falls", "rises"} & set(metrics)
    assert (terms["facing"] == env.task.rewards()["facing"]).all()


def test_an_episode_goes_on_while_a_body_may_get_up():
    env = make("Reach", 2, get_up_s=5.0, episode_steps=40)
    qpos, mask = env.sim.qpos.clone(), torch.tensor([False, True])
    qpos[:, 2] = 0.3
    qpos[:, 3:7] = torch.tensor([math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0])  # on its face
    env.sim.reset(mask, qpos, torch.zeros_like(env.sim.qvel))
    for step in range(1, 41):
        result = env.advance(still(env))
        assert result.terminated.tolist() == [False, False] and result.truncated.tolist() == [step == 40] * 2
        assert result.reward[1] == 0.0 and result.metrics["fall_rate"][1] == 1.0


def test_steering_rewards_by_hand():
    env = make("Steering")
    put(env, yaw=0.0, velocity=(1.0, 0.0))
    env.task.direction_w[:], env.task.facing_w[:] = torch.tensor([0.0, 1.0]), torch.tensor([0.6, 0.8])
    env.task.speed_mps[:] = 1.0
    terms = env.task.rewards()
    assert_close(terms["velocity"], torch.full((2,), math.exp(-0.5 * 2.0)), rtol=1e-3, atol=0)
    assert_close(terms["facing"], torch.full((2,), 0.6), rtol=1e-4, atol=0)
    env.task.direction_w[:] = torch.tensor([-1.0, 0.1])
    assert env.task.rewards()["velocity"].tolist() == [0.0, 0.0], "moving against the command"


def hand_w(env):
    return env.sim.body_pos_w[:, env.sim.robot.body_names.index("right_hand")]


def test_reach_rewards_by_hand():
    env = make("Reach")
    put(env)
    env.task.target_w = hand_w(env) + torch.tensor([0.3, 0.0, 0.4])
    env.sim.body_linvel_w[:, env.sim.robot.body_names.index("right_hand")] = torch.tensor([0.0, 1.0, 2.0])
    terms = env.task.rewards()
    assert_close(terms["position"], torch.full((2,), math.exp(-4 * 0.25)))
    assert_close(terms["progress"], torch.full((2,), 0.8 * 2.0))
    env.task.target_w = hand_w(env).clone()
    assert env.task.rewards()["position"].tolist() == [1.0, 1.0] and env.task.rewards()["progress"].tolist() == [0, 0]


def test_a_target_of_the_hand_is_drawn_round_the_body_and_stays_where_it_is():
    env = make("Reach", 256, distance_m=0.5, height_m=[0.3, 1.8])
    put(env, xy=(10.0, -5.0), yaw=math.pi / 4, velocity=(1.0, 0.0))
    task = env.task
    task.new_target(every(env))
    shown_h, height = task.observe_task()[:, :2], task.target_w[:, 2]
    assert shown_h.abs().max() <= 0.5 + 1e-5 and (shown_h.amax(0) > 0.45).all() and (shown_h.amin(0) < -0.45).all()
    assert 0.3 <= height.min() < 0.35 and 1.75 < height.max() <= 1.8
    before = task.target_w.clone()
    assert_close(env.sim.mocap_pos_w[:, 0], before)  # its marker
    task.steps_left[:] = 10.0
    env.advance(still(env))
    assert torch.equal(task.target_w, before), "the body moves and the target does not"
    task.new_target(torch.arange(256) < 128)
    assert (
        torch.equal(task.target_w[128:], before[128:]) and not torch.isclose(task.target_w, before)[:128].all(1).any()
    )


def test_the_mean_distance_of_the_hand_is_reported():
    env = make("Reach", 1)
    distances = []
    for _ in range(3):
        target_w = env.task.target_w.clone()  # before the next one may be drawn
        result = env.advance(still(env))
        distances.append((target_w - hand_w(env)).norm(dim=-1))
    assert_close(result.metrics["hand_distance_m"], torch.stack(distances).mean(0))
    env.reset_where(every(env))
    assert env.task.steps.item() == env.task.distance_sum_m.item() == 0.0


def test_facing_is_commanded_apart_from_the_motion_if_it_is_free():
    bound, free = (make("Steering", 64, facing=facing).task for facing in ("motion", "any"))
    assert torch.equal(bound.direction_w, bound.facing_w)
    cosine = (free.direction_w * free.facing_w).sum(-1)
    assert cosine.min() < -0.8 and cosine.max() > 0.8 and cosine.abs().min() < 0.2, "sideways and backwards, too"
    before = free.facing_w.clone()
    free.new_target(torch.arange(64) < 32)
    assert torch.equal(free.facing_w[32:], before[32:])
    assert (free.facing_w[:32] - before[:32]).norm(dim=-1).min() > 0.0
    assert free.observe_task().shape == (64, 5)


def test_paths_keep_to_speed_acceleration_and_turn_rate():
    cfg = HumanoidTrajectoryCfg()
    path = random_paths(cfg, 100, torch.Generator().manual_seed(0))
    velocity = path.diff(dim=1) / KNOT_S
    speed = velocity.norm(dim=-1)
    assert path[:, 0].abs().max() == 0 and speed.max() <= cfg.speed_mps + 1e-4
    assert speed.std() > 0.3, "speeds differ"
    assert speed.diff(dim=1).abs().max() <= cfg.acceleration_mps2 * KNOT_S + 1e-4
    moving = speed > 0.3
    yaw = torch.atan2(velocity[..., 1], velocity[..., 0])
    turn = torch.remainder(yaw.diff(dim=1) + math.pi, 2 * math.pi) - math.pi
    assert turn[moving[:, 1:] & moving[:, :-1]].abs().max() <= cfg.turn_rad_s * KNOT_S + 1e-3


def test_a_path_begins_below_the_body_in_its_heading():
    env = make("Trajectory", 3)
    first = env.task.observe_task().view(3, -1, 2)
    assert_close(first[:, 0], torch.zeros(3, 2), atol=1e-4, rtol=0)
    assert (first[:, 1, 0] > 0).all(), "ahead"
    env.task.steps[:] = 10.0  # a third of a second later the point has moved, and the body has not
    distance = env.task.observe_task().view(3, -1, 2)[:, 0].norm(dim=-1)
    assert_close(env.task.rewards()["track"], torch.exp(-2 * distance.square()))
    assert not env.task.ended_by_task().any()
    env.task.start_w += 2.0
    assert env.task.ended_by_task().all(), "the path is lost"


def test_a_tilted_pillar_is_rewarded_and_a_fallen_one_counted_once():
    env = make("Topple", 1, rest_s=0.12)
    put(env)
    task, tilt = env.task, math.radians(60)
    place(env, 0, (2.0, 0.0, 0.9), quat=(math.cos(tilt / 2), math.sin(tilt / 2), 0.0, 0.0))
    assert_close(task.rewards()["tilt"], torch.tensor([0.5]))
    place(env, 0, (2.0, 0.0, 0.2), quat=(math.cos(math.pi / 4), math.sin(math.pi / 4), 0.0, 0.0))
    for step in range(4):
        where = env.sim.object_pos_w[0, 0].clone()
        result = env.advance(still(env))
        assert result.metrics["pillars"].item() == 1
        assert result.terms["tilt"].item() == pytest.approx(0.6)
        assert (env.sim.object_pos_w[0, 0] - where).norm() < 0.1 or step == 3, "the next one comes after 0.12 s"
    assert rotations.axis_z(env.sim.object_quat_w[0, 0])[2] > 0.99 and task.down_steps.item() == 0
    assert 1.5 <= (env.sim.object_pos_w[0, 0, :2] - env.sim.root_pos_w[0, :2]).norm() <= 6.0


def test_pillars_do_not_count_after_a_fall():
    env = make("Topple")
    put(env)
    env.task.falls[0] = 1.0
    place(env, 0, (2.0, 0.0, 0.2), quat=(math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0))
    assert env.advance(still(env)).metrics["pillars"].tolist() == [0.0, 1.0]


def test_thrown_balls_hit_a_body_that_does_not_move():
    env = make("Dodge", 16, hold_s=[30.0, 30.0])
    hit = torch.zeros(16)
    for _ in range(60):  # two seconds; a ball needs at most 1.7
        hit = torch.maximum(hit, env.advance(still(env)).metrics["hit_rate"])
    assert hit.mean() > 0.85, "aimed at the torso; the body has begun to fall over when slow balls arrive"


def test_a_hit_ends_the_episode_and_a_miss_does_not():
    env = make("Dodge", hold_s=[30.0, 30.0])
    put(env)
    place(env, 0, (8.0, 0.0, 1.0), worlds=0)
    place(env, 0, (0.0, 0.0, 1.0), worlds=1)
    env.task.steps_left[:], env.task.thrown[:] = 1.0, 2.0  # the same ball is thrown in this step
    result = env.advance(still(env))
    assert result.terminated.tolist() == [False, True]
    assert result.metrics["hit_rate"].tolist() == [0.0, 1.0]
    assert_close(result.metrics["hits_per_minute"], torch.tensor([0.0, 60 / env.step_s]))


def test_marks_are_one_for_each_marker_of_the_scene():
    env = make("Trajectory")
    points_w = torch.zeros(2, len(env.sim.scene.markers) + 1, 2)
    with pytest.raises(
        ConfigError, match=r"HumanoidTrajectory marks \(2, 11, 2\) points, and its scene has 10 markers"
    ):
        env.task.mark(every(env), points_w)
    env.task.target_w = points_w[:, 0]
    assert SkillTask.controls(env.task) == {}, "sliders move the one marker of a task"


def test_throws_lead_a_moving_body_and_take_turns():
    env = make("Dodge", 1, speed_mps=[8.0, 8.0], distance_m=[8.0, 8.0])
    put(env, velocity=(1.5, 0.0))
    before = env.sim.object_pos_w.clone()
    env.task.new_target(every(env))
    moved = (env.sim.object_pos_w - before).norm(dim=-1) > 0.01
    assert moved.sum() == 1, "one ball"
    index = int(moved[0].int().argmax())
    torso = env.sim.body_pos_w[0, env.task._torso]
    start, velocity = env.sim.object_pos_w[0, index], env.sim.object_linvel_w[0, index]
    arrives = start + velocity * 1.0 - torch.tensor([0.0, 0.0, 0.5 * 9.81])
    lead = env.sim.body_linvel_w[0, env.task._torso].clone()
    lead[2] = 0.0
    assert_close(arrives, torso + lead, atol=1e-4, rtol=0)
    env.task.new_target(every(env))
    assert (env.sim.object_pos_w - before).norm(dim=-1).gt(0.01).all(), "then the other"
    order = [1 - index, index]  # the newest first; the body looks along x
    shown = (env.sim.object_pos_w[0, order] - env.sim.root_pos_w[0]) / 5.0, env.sim.object_linvel_w[0, order]
    assert_close(env.task.observe_task()[0], torch.cat(shown).flatten(), atol=1e-5, rtol=0)


def test_push_geometry_and_success_by_hand():
    env = make("Push")
    put(env)
    task = env.task
    place(env, 0, (2.0, 0.0, 0.45))
    task.goal_w[:] = torch.tensor([4.0, 0.0])
    assert_close(task._behind_w(), torch.tensor([[1.35, 0.0]]).expand(2, -1))
    terms = task.rewards()
    assert_close(terms["behind"], torch.full((2,), math.exp(-(1.35**2))))
    assert_close(terms["position"], torch.full((2,), math.exp(-2.0)))
    assert terms["velocity"].tolist() == terms["progress"].tolist() == terms["approach"].tolist() == [0.0, 0.0]
    place(env, 0, (2.0, 0.0, 0.45), linvel_w=(0.35, 0.0, 0.0))
    env.sim.root_linvel_w[:, :2] = torch.tensor([0.5, 0.25])
    terms = task.rewards()
    assert_close(terms["velocity"], torch.full((2,), math.exp(-4 * 0.25**2)))
    assert_close(terms["progress"], torch.full((2,), 0.35))
    assert_close(terms["approach"], torch.full((2,), 0.5))
    place(env, 0, (0.8, 0.0, 0.45))
    assert task.rewards()["approach"].tolist() == [0.0, 0.0], "as near as 0.15 m"
    place(env, 0, (3.7, 0.0, 0.45))
    assert env.advance(still(env)).metrics["success_rate"].tolist() == [1.0, 1.0]
    place(env, 0, (1.0, 0.0, 0.45))
    assert env.advance(still(env)).metrics["success_rate"].tolist() == [1.0, 1.0], "success is kept"
    task.arrived[:], task.falls[0] = 0.0, 1.0
    place(env, 0, (3.7, 0.0, 0.45))
    assert env.advance(still(env)).metrics["success_rate"].tolist() == [0.0, 1.0], "none after a fall"


def test_dribble_rewards_by_hand():
    env = make("Dribble")
    put(env)
    env.task.direction_w[:], env.task.speed_mps[:] = torch.tensor([1.0, 0.0]), 1.0
    place(env, 0, (1.0, 0.0, 0.15), linvel_w=(0.5, 0.5, 0.0))
    terms = env.task.rewards()
    assert_close(terms["velocity"], torch.full((2,), math.exp(-0.5)))
    assert_close(terms["near"], torch.full((2,), math.exp(-0.5)))
    assert_close(terms["progress"], torch.full((2,), 0.5))
    place(env, 0, (1.0, 0.0, 0.15), linvel_w=(-0.5, 0.0, 0.0))
    terms = env.task.rewards()
    assert terms["velocity"].tolist() == [0.0, 0.0]
    assert_close(terms["progress"], torch.full((2,), -0.5))
    place(env, 0, (0.0, 1.0, 0.15), linvel_w=(2.0, 0.0, 0.0))
    env.sim.root_linvel_w[:, :2] = torch.tensor([0.0, 0.5])
    terms = env.task.rewards()
    assert_close(terms["progress"], torch.full((2,), 1.0))  # no more than commanded
    assert_close(terms["approach"], torch.full((2,), 0.5 / math.hypot(1.0, 0.4)))
    place(env, 0, (0.4, 0.0, 0.15))
    assert env.task.rewards()["approach"].tolist() == [0.0, 0.0], "as near as 0.05 m"


def test_dribble_turns_the_commanded_direction_at_most_so_far():
    env = make("Dribble", 64, turn_rad=0.5)
    task, xy = env.task, env.sim.root_pos_w[:, :2]
    towards_w = torch.nn.functional.normalize(env.sim.object_pos_w[:, 0, :2] - xy, dim=1)
    before_w = task.direction_w.clone()
    assert ((towards_w * before_w).sum(1) > math.cos(0.5001)).all(), "the first is towards the ball, turned"
    task.new_target(torch.arange(64) < 32)
    cosine = (task.direction_w * before_w).sum(1)
    assert (cosine > math.cos(0.5001)).all() and cosine[:32].min() < math.cos(0.3)
    assert torch.equal(task.direction_w[32:], before_w[32:])


@pytest.mark.parametrize(
    ("name", "changes", "advice"),
    [
        ("Location", {"hold_s": [5.0]}, "task.hold_s"),
        ("Location", {"hold_s": [5.0, 1.0]}, "task.hold_s"),
        ("Location", {"distance_m": -1.0}, "task.distance_m"),
        ("Location", {"get_up_s": 5.0, "rescue": "rising"}, "has task.rise_s; leave one of them out"),
        ("Steering", {"speed_mps": [2.0, 1.0]}, r"type task.speed_mps=\[1,2\]"),
        ("Steering", {"speed_mps": [1.0, 2.0, 3.0]}, "expected two numbers"),
        ("Steering", {"speed_mps": []}, r"type task.speed_mps=\[1,2\]"),
        ("Reach", {"height_m": [2.0, 0.2]}, r"type task.height_m=\[0.2,2\]"),
        ("Push", {"reached_m": 5.0}, "type task.reached_m=0.375"),
        ("Topple", {"hold_s": [1.0, 2.0]}, "leave it out"),
        ("Trajectory", {"episode_steps": 100_000}, "type task.episode_steps=18000"),
        ("Dodge", {"distance_m": [9.0, 8.0]}, r"type task.distance_m=\[8,9\]"),
    ],
)
def test_bad_values_are_answered_with_what_to_type(name, changes, advice):
    with pytest.raises(ConfigError, match=advice):
        make(name, **changes)
