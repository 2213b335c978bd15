"""The ant and its courses: where things stand, what counts as success, what is never reset."""

import mujoco
import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl.envs import registry
from isaachrl.envs.task_env import evaluation_cfg
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from isaachrl.sim import compile_scene
from tasks.ant_course import AntCourse, Targets
from tasks.common import courses
from tasks.common.courses import PLANS, Asset, Course

assert tasks


def make(name="AntMaze", num_envs=4, seed=0, **task):
    return isaachrl.make(name, num_envs, device="cpu", seed=seed, cfg={"task": task})


def free_centres(course):
    plan = PLANS[course]
    marks = [(i, j) for i, row in enumerate(plan.rows) for j, mark in enumerate(row) if mark in ".s"]
    return sorted(plan.centre_m(i, j) for i, j in marks)


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        (Course.maze, [(0, 0), (0, 16), (8, 0), (8, 16), (16, 0), (16, 8), (16, 16)]),
        (Course.push, [(-8, 0), (-8, 8), (0, 0), (0, 16), (8, 8)]),  # (16, 8) is a wall, as in the code
        (Course.fall, [(0, 0), (0, 8), (0, 24), (8, 0), (8, 24)]),
    ],
)
def test_free_cells_are_the_published_ones(course, expected):
    assert free_centres(course) == sorted((float(x), float(y)) for x, y in expected)


def test_the_chasm_and_its_block_are_on_the_right_side():
    plan = PLANS[Course.fall]
    chasm = [plan.centre_m(i, j) for i, row in enumerate(plan.rows) for j, mark in enumerate(row) if mark == "~"]
    assert chasm == [(0.0, 16.0), (8.0, 16.0)]
    (block,) = courses.blocks(plan, Asset.paper)
    assert block.pos_m == (8.0, 8.0, 6.0) and block.mass_kg == 1e-3
    assert block.half_size_m == pytest.approx((3.96, 3.96, 2.0))
    assert block.range_m == (("y", -8.0, 8.0), ("z", -4.0, 0.0))


def test_the_block_to_push_is_as_published():
    (block,) = courses.blocks(PLANS[Course.push], Asset.paper)
    assert (block.pos_m, block.half_size_m, block.mass_kg) == ((0.0, 8.0, 2.0), (4.0, 4.0, 2.0), 2e-4)
    assert block.range_m == (("x", -8.0, 8.0), ("y", -8.0, 8.0))
    assert (block.armature_kg, block.damping) == (0.0, 0.0)


@pytest.mark.parametrize("course", list(Course))
def test_boxes_cover_exactly_the_walls(course):
    plan = PLANS[course]
    walls = [box for box in courses.boxes(plan) if box.name.startswith("wall")]
    for i, row in enumerate(plan.rows):
        for j, mark in enumerate(row):
            x, y = plan.centre_m(i, j)
            inside = [
                box for box in walls
                if abs(x - box.pos_m[0]) < box.half_size_m[0] and abs(y - box.pos_m[1]) < box.half_size_m[1]
            ]  # fmt: skip
            assert len(inside) == (mark == "#"), (i, j)
    assert all(box.half_size_m[2] == 0.25 * plan.cell_m for box in walls), "blocks are half as high as wide"


def test_the_ant_has_the_published_constants():
    model = compile_scene(AntCourse.scene(registry.entry("AntMaze").configure({})))
    joints = slice(6, 14)
    assert model.nq == 15 and model.nu == 8
    assert (model.dof_armature[joints] == 1).all() and (model.dof_damping[joints] == 1).all()
    assert (model.actuator_ctrlrange == [-30, 30]).all() and (model.actuator_gear[:, 0] == 1).all()
    assert model.geom("torso").size[0] == 0.25 and model.body("torso").pos[2] == 0.75
    assert model.geom("torso").friction.tolist() == [1.0, 0.5, 0.5]
    assert model.opt.timestep == 0.02
    hips = model.jnt_range[[model.joint(f"hip_{i}").id for i in range(1, 5)]]
    assert_close(torch.tensor(hips), torch.tensor([[-30.0, 30.0]] * 4).double().deg2rad())
    density = 5.0
    sphere = density * 4 / 3 * torch.pi * 0.25**3
    assert model.body_mass[1] > sphere  # the torso's stubs weigh something too


def test_worlds_with_a_block_have_the_published_contacts():
    model = compile_scene(AntCourse.scene(registry.entry("AntPush").configure({})))
    assert model.nq == 17
    assert (abs(model.geom_solimp[:, :3] - [0.995, 0.995, 0.01]) < 1e-9).all()


def test_the_integrator_is_chosen():
    cfg = registry.entry("AntMaze").configure({"integrator": "rk4"})
    assert compile_scene(AntCourse.scene(cfg)).opt.integrator == mujoco.mjtIntegrator.mjINT_RK4


def test_reward_is_minus_the_distance_and_time_alone_ends_an_episode():
    env = make(episode_steps=5)
    env.reset()
    for step in range(5):
        result = env.step(torch.zeros(4, 8))
        assert not result.terminated.any()
        assert result.truncated.all() == (step == 4)
        target, state = result.terminal_obs["context"], result.terminal_obs["state"]
        assert_close(result.reward, -(target - state[:, :2]).norm(dim=-1))
        assert_close(state[:, 29], torch.full((4,), 0.001 * (step + 1)))


def test_height_counts_where_the_target_has_one():
    env = make("AntFall")
    state = env.observe()["state"]
    assert state[:, 2].mean().item() == pytest.approx(4.75, abs=0.1)
    result = env.step(torch.zeros(4, 8))
    goal = torch.tensor([0.0, 27.0, 4.5])
    assert_close(result.reward, -(goal - result.terminal_obs["state"][:, :3]).norm(dim=-1))


def test_success_means_within_five_metres():
    env = make(num_envs=2)
    qpos = env.sim.qpos.clone()
    qpos[:, :2] = env.task.target + torch.tensor([[4.9, 0.0], [0.0, 5.1]])
    env.sim.reset(torch.ones(2, dtype=torch.bool), qpos, torch.zeros_like(env.sim.qvel))
    assert env.task.metrics()["success_rate"].tolist() == [1.0, 0.0]


def test_a_world_that_diverged_has_not_arrived():
    env = make(num_envs=2)
    env.task.target[:] = torch.tensor([2.0, 2.0])
    qvel = env.sim.qvel.clone()
    qvel[1] = torch.nan
    env.sim.reset(torch.tensor([False, True]), env.sim.qpos.clone(), qvel)
    result = env.advance(torch.zeros(2, 8))
    assert result.metrics["diverged"].tolist() == [0.0, 1.0]
    assert result.metrics["success_rate"].tolist() == [1.0, 0.0]


def test_training_targets_fill_the_published_box():
    targets = make(num_envs=600).task.target
    assert targets.amin() >= -4 and targets.amax() <= 20
    assert_close(targets.mean(0), torch.tensor([8.0, 8.0]), rtol=0, atol=1.0)


def test_evaluation_goes_round_the_points_in_every_environment():
    cfg = registry.entry("AntMaze").configure({"episode_steps": 1})
    assert evaluation_cfg(cfg).targets is Targets.evaluation
    env = make(num_envs=2, targets="evaluation", episode_steps=1)
    env.reset()
    seen = []
    for _ in range(3):
        seen.append([tuple(point) for point in env.task.target.tolist()])
        names = {name for name, v in env.task.metrics().items() if name.startswith("success_at") and not v[0].isnan()}
        assert names == {"success_at_{:g}_{:g}".format(*seen[-1][0])}
        env.step(torch.zeros(2, 8))
    for column in zip(*seen, strict=True):
        assert sorted(column) == [(0.0, 16.0), (16.0, 0.0), (16.0, 16.0)]


def test_a_chosen_distribution_is_kept_in_evaluation():
    cfg = registry.entry("AntMaze").configure({"targets": "training"})
    assert evaluation_cfg(cfg).targets is Targets.training


def test_wide_targets_fill_the_course_and_evaluation_stays_at_its_point():
    cfg = registry.entry("AntPush").configure({"wide": True})
    targets = make("AntPush", num_envs=600, wide=True).task.target
    assert_close(targets.amin(0), torch.tensor([-16.0, -4.0]), rtol=0, atol=0.5)
    assert_close(targets.amax(0), torch.tensor([16.0, 20.0]), rtol=0, atol=0.5)
    assert evaluation_cfg(cfg).targets is Targets.evaluation
    assert make("AntPush", num_envs=1, wide=True, targets="evaluation").task.target.tolist() == [[0.0, 19.0]]


def test_free_regions_are_the_cells_without_walls():
    plan = PLANS[Course.maze]
    found = courses.free_regions(plan, [-2.0, -4.0], [20.0, 20.0])
    assert sorted(found) == [([-2, -4], [20, 4]), ([-2, 12], [20, 20]), ([12, 4], [20, 12])]
    fall = courses.free_regions(PLANS[Course.fall], [-4.0, -4.0, 0.0], [12.0, 28.0, 5.0])
    assert sorted(fall) == [([-4, -4, 4], [12, 12, 5]), ([-4, 20, 4], [12, 28, 5])], (
        "not over the chasm or in the ground"
    )


@pytest.mark.parametrize(("name", "cells"), [("AntMaze", 7), ("AntPush", 6), ("AntFall", 6)])
def test_free_targets_fill_the_cells_that_can_be_reached_evenly(name, cells):
    task = make(name, num_envs=1, wide=True, free_targets=True).task
    targets = task.draw_contexts(7000, torch.Generator().manual_seed(0))
    found, counts = (targets[:, :2] / 8.0).round().unique(dim=0, return_counts=True)
    marks = [(i, j) for i, row in enumerate(task.plan.rows) for j, mark in enumerate(row) if mark in ".sXY"]
    assert sorted(map(tuple, (8.0 * found).tolist())) == sorted(task.plan.centre_m(i, j) for i, j in marks)
    assert len(found) == cells and (counts / 7000 - 1 / cells).abs().max() < 0.02
    if targets.shape[1] > 2:
        assert 4.0 <= targets[:, 2].min() < 4.1 and 4.9 < targets[:, 2].max() <= 5.0


def test_wide_targets_end_after_so_many_steps():
    env = make("AntPush", num_envs=4, wide=True, free_targets=True, wide_steps=2)
    draw = lambda: env.task.draw_contexts(50, torch.Generator().manual_seed(0))  # noqa: E731
    first, state = draw(), env.state_dict()
    env.step(torch.zeros(4, 8))
    assert torch.equal(draw(), first) and len(first.unique(dim=0)) == 50
    env.step(torch.zeros(4, 8))
    assert (draw() == torch.tensor([0.0, 19.0])).all()
    env.reset()
    assert (env.task.target == torch.tensor([0.0, 19.0])).all()
    env.load_state_dict(state)
    assert torch.equal(draw(), first), "a resumed training counts on"


def test_an_end_of_wide_targets_needs_wide_targets():
    with pytest.raises(ConfigError, match=r"task\.wide=true"):
        make("AntPush", wide_steps=10)


def test_free_targets_need_a_region():
    with pytest.raises(ConfigError, match=r"task\.wide=true"):
        make("AntPush", free_targets=True)


@pytest.mark.parametrize(
    ("name", "share"),
    # AntPush: rows of y from -4, 4 and 12 m on, each four cells of 8 m long, have 2, 1 and 3 of wall; AntFall has none
    [("AntPush", 0.5), ("AntFall", 0.0)],
)
def test_wide_targets_inside_walls(name, share):
    task = make(name, num_envs=1, wide=True).task
    targets = task.draw_contexts(20_000, torch.Generator().manual_seed(0))[:, :2]
    inside = torch.zeros(20_000, dtype=torch.bool)
    for box in courses.boxes(task.plan):
        if box.name.startswith("wall"):
            inside |= ((targets - torch.tensor(box.pos_m[:2])).abs() < torch.tensor(box.half_size_m[:2])).all(-1)
    assert inside.float().mean().item() == pytest.approx(share, abs=0.02 if share else 0.0)


@pytest.mark.parametrize("name", ["AntMaze", "AntFall", "AntGather"])
def test_layouts_name_every_number_of_the_state(name):
    env = make(name, num_envs=2)
    env.step(torch.rand(2, 8, generator=torch.Generator().manual_seed(0)))
    state, sim, at, parts = env.observe()["state"], env.task.sim, 0, {}
    for part, size, _ in env.obs_layout["state"]:
        parts[part], at = state[:, at : at + size], at + size
    assert at == state.shape[1]
    assert torch.equal(parts["root_pos_w"], sim.root_pos_w) and torch.equal(parts["root_quat_w"], sim.root_quat_w)
    assert torch.equal(parts["joint_pos"], sim.joint_pos) and torch.equal(parts["joint_vel"], sim.joint_vel)
    assert_close(parts["root_linvel_w"], sim.root_linvel_w)
    assert_close(rotations.rotate(sim.root_quat_w, parts["root_angvel_b"]), sim.root_angvel_w)
    assert_close(parts["time"], torch.full((2, 1), 0.001))


def test_one_ant_among_many_behaves_as_alone():
    alone, many = make(num_envs=1), make(num_envs=64, seed=3)
    state = many.sim.qpos[17:18].clone(), many.sim.qvel[17:18].clone()
    alone.sim.reset(torch.tensor([True]), *state)
    row = torch.arange(64) == 17
    many.sim.reset(row, many.sim.qpos.clone(), many.sim.qvel.clone())
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        action = 2 * torch.rand(64, 8, generator=generator) - 1
        many.step(action), alone.step(action[17:18])
        assert torch.equal(many.sim.qpos[17], alone.sim.qpos[0])


def block_travel(name, asset, force, steps, rest=0):
    """How far a block went along its coordinates, pushed for some steps along the first and then left alone."""
    model = make(name, num_envs=1, asset=asset).sim.model
    data = mujoco.MjData(model)
    data.qpos[0] = -100.0  # the ant is out of the way
    for step in range(steps + rest):
        data.qfrc_applied[-2] = force if step < steps else 0.0
        mujoco.mj_step(model, data)
    return data.qpos[15:].copy()


@pytest.mark.parametrize("asset", ["paper", "gpu"])
def test_both_assets_slide_aside_and_stop_at_the_wall(asset):
    x, y = block_travel("AntPush", asset, 20.0, 400)
    assert x == pytest.approx(8.0, abs=0.2) and abs(y) < 0.05


@pytest.mark.parametrize(("force", "tolerance"), [(5.0, 0.3), (20.0, 0.15)])
def test_both_assets_slide_equally_fast(force, tolerance):
    paper, gpu = (block_travel("AntPush", asset, force, 80)[0] for asset in ("paper", "gpu"))
    assert gpu == pytest.approx(paper, rel=tolerance)


@pytest.mark.parametrize("asset", ["paper", "gpu"])
def test_both_assets_fill_the_chasm(asset):
    y, z = block_travel("AntFall", asset, 3.0, 600, rest=400)
    assert y == pytest.approx(8.0, abs=0.1) and z == pytest.approx(-4.0, abs=0.1)


def test_blocks_may_be_seen():
    env = make("AntPush", observe_blocks=True)
    assert env.observe()["state"].shape == (4, 32) and len(env.task.state_scale) == 32
    with pytest.raises(ConfigError, match="no block"):
        make("AntMaze", observe_blocks=True)


def test_the_managers_goal_is_shown_and_nothing_else_moves():
    env = make(num_envs=2)
    before = env.sim.mocap_pos_w.clone()
    env.task.show_goal(torch.tensor([[1.0, 2.0], [4.0, 8.0]]))  # the second one inside the block in the middle
    moved = env.sim.mocap_pos_w
    assert moved[:, -1].tolist() == [[1.0, 2.0, 0.75], [4.0, 8.0, 4.75]]
    assert torch.equal(moved[:, :-1], before[:, :-1])
