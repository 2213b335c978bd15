"""Mazes: layouts, distances, what is seen, and the task on them."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

import isaachrl
import tasks
from isaachrl import config
from isaachrl.errors import ConfigError
from isaachrl.maths import rotations
from tasks.common import layouts, maze
from tasks.common.maze import FAR_CELLS
from tasks.humanoid_hrl_maze import HumanoidHRLMazeCfg, Routes
from tests.tiny_skill import make_tiny_skill

assert tasks
CPU = torch.device("cpu")
LAYOUTS = [*layouts.DRAWN, "random"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def bank_of(layout, cell_m=2.5, min_steps=1):
    if layout == "random":
        walls = layouts.random_walls(5, 12, generator())
        return maze.make_bank(walls, ~walls, ~walls, cell_m, min_steps, CPU)
    plan = layouts.plan(layout)
    return maze.make_bank(plan.walls[None], plan.starts[None], plan.goals[None], cell_m, min_steps, CPU)


def numbers(*values):
    return torch.tensor(values)


# ---------------------------------------------------------------- layouts


@pytest.mark.parametrize("layout", list(layouts.DRAWN))
def test_drawn_mazes_are_closed_and_connected(layout):
    walls = layouts.plan(layout).walls
    assert walls[0].all() and walls[-1].all() and walls[:, 0].all() and walls[:, -1].all()
    free = ~walls.flatten()
    assert (maze.path_cells(walls[None])[0][free][:, free] < FAR_CELLS).all()


@pytest.mark.parametrize("size", [3, 5, 9])
def test_random_mazes_have_one_path_between_any_two_cells(size):
    walls = layouts.random_walls(size, 20, generator())
    free = (~walls).sum((1, 2))
    joins = (~walls[:, 1:] & ~walls[:, :-1]).sum((1, 2)) + (~walls[:, :, 1:] & ~walls[:, :, :-1]).sum((1, 2))
    rooms = ((size + 1) // 2) ** 2
    assert (free == 2 * rooms - 1).all()  # the same number of walls in every maze
    assert (joins == free - 1).all()  # a tree, if it is connected
    inside = ~walls.flatten(1)
    for own, paths in zip(inside, maze.path_cells(walls), strict=True):
        assert (paths[own][:, own] < FAR_CELLS).all()


def test_random_mazes_differ_and_repeat_with_the_seed():
    first, again, other = (layouts.random_walls(5, 30, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len({tuple(one.flatten().tolist()) for one in first}) > 20


def test_blocks_are_joined_along_rows_only_when_asked():
    walls = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 1], [1, 0, 1, 1, 1], [1, 1, 1, 1, 1]], dtype=torch.bool)
    assert maze.inner_blocks(walls, merge=True) == [(1, 1, 2), (2, 2, 3)]
    assert maze.inner_blocks(walls, merge=False) == [(1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 3, 3)]


@pytest.mark.parametrize("layout", list(layouts.DRAWN))
@pytest.mark.parametrize("merge", [True, False])
def test_boxes_fill_the_wall_cells_and_nothing_else(layout, merge):
    walls = layouts.plan(layout).walls
    boxes = maze.wall_boxes(walls, 2.0, 1.0, merge)
    bank = bank_of(layout, cell_m=2.0)
    rows, columns = walls.shape
    for cell in range(rows * columns):
        r, c = divmod(cell, columns)
        if r in (0, rows - 1) or c in (0, columns - 1):
            continue
        x, y = maze.cell_centre_m(bank, torch.tensor(cell)).tolist()
        for dx, dy in ((0, 0), (0.99, 0.99), (-0.99, -0.99), (0.99, -0.99)):  # the middle and near the corners
            inside = any(
                abs(x + dx - box.pos_m[0]) < box.half_size_m[0] and abs(y + dy - box.pos_m[1]) < box.half_size_m[1]
                for box in boxes
            )
            assert inside == walls[r, c].item(), (r, c)


# -------------------------------------------------------------- distances


def test_paths_of_the_u_by_hand():
    bank = bank_of("umaze")
    start, corner, far = 1 * 5 + 1, 1 * 5 + 3, 3 * 5 + 1
    assert bank.paths[0, start, [start, corner, far]].tolist() == [0, 2, 6]
    assert bank.paths[0, far, start] == 6
    assert bank.paths[0, start, 0] == FAR_CELLS


def test_the_potential_along_a_corridor_is_the_way_left():
    bank = bank_of("corridor")
    goal = torch.full((5,), 1 * 9 + 6)  # its centre lies at x = 5
    xy = torch.tensor([[5.0, 0.0], [2.5, 0.0], [1.0, 0.0], [1.0, 1.1], [-6.2, -0.7]])
    assert_close(maze.potential_m(bank, torch.zeros(5, dtype=torch.long), goal, xy), numbers(0.0, 2.5, 4.0, 4.0, 11.2))


def test_the_way_points_of_the_u_by_hand():
    bank = bank_of("umaze")
    xy = torch.tensor(
        [[-2.5, -2.5], [1.0, -2.4], [2.0, 0.3], [-2.4, 2.0]]
    )  # two steps before the corner, one, none, there
    goal_m = torch.tensor([-2.0, 2.75]).expand(4, 2)  # beside the middle of its cell
    points = maze.way_points_m(bank, torch.zeros(4, dtype=torch.long), torch.full((4,), 3 * 5 + 1), goal_m, xy, 2)
    expected = [[[0, -1], [1, -1]], [[1, -1], [1, 0]], [[1, 1], [0, 1]], [[-0.8, 1.1], [-0.8, 1.1]]]
    assert_close(points, 2.5 * torch.tensor(expected, dtype=torch.float))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_step_towards_a_goal_is_one_nearer(layout):
    bank = bank_of(layout)
    maze_id, start, goal = maze.sample_episodes(bank, 4000, generator())
    after = bank.towards[maze_id, goal, start]
    assert torch.equal(bank.paths[maze_id, goal, after], bank.paths[maze_id, goal, start] - 1)
    assert bool((bank.paths[maze_id, start, after] == 1).all())
    wall = bank.walls[0].flatten().nonzero()[0].item()
    assert (bank.towards[0, goal[0], wall].item(), bank.towards[0, goal[0], goal[0]].item()) == (wall, goal[0].item())


def test_the_potential_around_a_corner_by_hand():
    bank = bank_of("umaze")  # y upwards: the goal (-2.5, 2.5), the corner (2.5, 2.5), then down to (2.5, -2.5)
    goal = torch.full((4,), 3 * 5 + 1)
    xy = torch.tensor([[2.5, 2.5], [2.5, 1.25], [1.25, 2.5], [1.25, 1.25]])
    # the last lies at the inner corner: a quarter of 12.5 - 7.5, of 7.5, of 5 - 2.5 and of the wall between them
    steps = [2.0, 2.5, 1.5, 0.25 * (2 + 3 + 1 + 2)]
    assert_close(maze.potential_m(bank, torch.zeros(4, dtype=torch.long), goal, xy), 2.5 * torch.tensor(steps))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_potential_is_the_path_at_centres_and_continuous_between(layout):
    bank = bank_of(layout)
    maze_id, start, goal = maze.sample_episodes(bank, 4000, generator())
    assert_close(
        maze.potential_m(bank, maze_id, goal, maze.cell_centre_m(bank, start)), 2.5 * bank.paths[maze_id, goal, start]
    )
    # from anywhere in a free cell, a centimetre changes little: no jumps, not even across the borders of cells
    low_x, high_x, low_y, high_y = bank.extent_m
    spread = torch.rand(4000, 2, generator=generator(1))
    here = torch.stack((low_x + (high_x - low_x) * spread[:, 0], low_y + (high_y - low_y) * spread[:, 1]), dim=-1)
    there = here + 0.01 * torch.nn.functional.normalize(torch.randn(4000, 2, generator=generator(2)), dim=-1)
    column, row = maze._grid(bank, torch.stack((here, there)))
    walkable = ~maze.is_wall(bank, maze_id, (row.T + 0.5).floor().long(), (column.T + 0.5).floor().long()).any(1)
    change = maze.potential_m(bank, maze_id, goal, here) - maze.potential_m(bank, maze_id, goal, there)
    assert walkable.sum() > 500
    assert change[walkable].abs().max() < 0.04


def test_episodes_start_where_they_may_and_goals_are_far_enough():
    bank = bank_of("umaze", min_steps=2)
    _, start, goal = maze.sample_episodes(bank, 500, generator())
    assert set(start.tolist()) == {1 * 5 + 1}
    assert set(bank.paths[0, start, goal].tolist()) == {2, 3, 4, 5, 6}  # the far end included
    bank = bank_of("random", min_steps=2)
    maze_id, start, goal = maze.sample_episodes(bank, 500, generator())
    paths = bank.paths[maze_id, start, goal]
    assert paths.min() == 2 and paths.max() < FAR_CELLS and len(set(maze_id.tolist())) == 12
    assert not bank.walls.flatten(1)[maze_id, start].any()


# ------------------------------------------------------------------ sight


def test_rays_in_a_corridor_by_hand():
    bank = bank_of("corridor")  # free from x = -8.75 to 8.75 and y = -1.25 to 1.25
    angle = torch.tensor([0.0, 0.5, 1.0, 1.25]) * math.pi
    rays = torch.stack((angle.cos(), angle.sin()), dim=-1)[None]
    seen = maze.ray_distances_m(bank, torch.zeros(1, dtype=torch.long), torch.tensor([[2.0, 0.25]]), rays, 10.0)
    assert_close(seen, torch.tensor([[6.75, 1.0, 10.0, 1.5 * math.sqrt(2)]]))


def test_clearance_by_hand():
    """In the U the wall to go round ends at x = 1.25, y between -1.25 and 1.25."""
    bank = bank_of("umaze")
    xy = torch.tensor([[2.5, 0.0], [2.5, -2.5], [1.55, -1.65], [1.75, 0.2], [0.0, 0.0], [-2.6, -3.5]])
    expected = numbers(1.25, 1.25, 0.5, 0.5, 0.0, 0.25)
    assert_close(maze.clearance_m(bank, torch.zeros(6, dtype=torch.long), xy), expected)


def test_occupancy_in_a_corridor_by_hand():
    bank, zero = bank_of("corridor"), torch.zeros(2, dtype=torch.long)
    xy = torch.tensor([[0.0, 0.0], [-7.5, 0.0]])
    forward = torch.tensor(
        [[0.0, 1.0], [1.0, 0.0]]
    )  # facing the side wall in the middle; along the corridor at its end
    window = maze.occupancy_window(bank, zero, xy, forward, 1)
    # rows of three from behind to ahead, right to left in each; the middle is left out
    assert window.tolist() == [[1, 1, 1, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 0, 1]]


# ----------------------------------------------------------- a maze of one's own


def test_a_maze_of_ones_own_is_read_from_a_file_as_it_is_drawn(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("\n  ######\n  #g..##\n  ##..s#\n  ######\r\n\n")
    plan = layouts.plan(str(path))
    assert plan.walls.long().tolist() == [[1] * 6, [1, 1, 0, 0, 0, 1], [1, 0, 0, 0, 1, 1], [1] * 6]  # y upwards
    assert plan.starts.nonzero().tolist() == [[1, 4]] and plan.goals.nonzero().tolist() == [[2, 1]]
    assert plan.longest == 4
    env = make(4, layout=str(path))
    assert env.episode_steps == 4 * 150
    assert_close(env.task.goal_w, numbers([-3.75, 1.25]).expand(4, 2))
    assert_close(env.sim.root_pos_w[:, :2], numbers([3.75, -1.25]).expand(4, 2), rtol=0, atol=0.31)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ("#####\n#..x#\n#####", "maze .*mine.txt: 'x' means nothing; the marks are"),
        ("#####\n#s g#\n#####", "maze .*mine.txt: ' ' means nothing"),
        ("#####\n#...#\n####", "rows of 5, 5, 4 cells"),
        ("", "rows of no cells"),
        ("##\n##", "at least 3 rows"),
        ("#####\n#....\n#####", "at the rim must be walls"),
        ("#####\n#.#.#\n#####", "cannot be reached"),
        ("###\n###\n###", "no free cell"),
        ("####\n#..#\n####", "mine.txt: no goal is 2 cells or more away"),
        ("######\n#.sg.#\n######", "no goal is 2 cells or more away from a start"),
    ],
)
def test_a_maze_that_cannot_be_walked_in_is_refused(tmp_path, drawn, message):
    (tmp_path / "mine.txt").write_text(drawn)
    with pytest.raises(ConfigError, match=message):
        make(1, layout=str(tmp_path / "mine.txt"))


def test_what_was_trained_keeps_its_maze_when_the_file_changes(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("#####\n#s.g#\n#####")
    cfg = config.build(HumanoidHRLMazeCfg, {"layout": str(path)})
    path.write_text("#####\n#g.s#\n#####")
    assert cfg.layout == "#####/#s.g#/#####"
    kept = config.build(HumanoidHRLMazeCfg, {"layout": cfg.layout})
    walls, begin, _ = kept.mazes(generator())
    assert begin[0].nonzero().tolist() == [[1, 1]] and walls.sum() == 12
    path.write_bytes(b"\xef\xbb\xbf#####\r\n#s.g#\r\n#####\r\n")  # as Windows writes it
    assert config.build(HumanoidHRLMazeCfg, {"layout": str(path)}).layout == cfg.layout


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("larg", "did you mean large"),
        ("nowhere.txt", "there is no file"),
        ("~nobody-of-that-name/a.txt", "there is no file"),
        ("a" * 300 + ".txt", "File name too long"),
        ("a/b", "PATH.txt"),
    ],
)
def test_a_maze_that_is_not_there_is_refused_with_what_to_type(layout, message):
    with pytest.raises(ConfigError, match=message):
        config.build(HumanoidHRLMazeCfg, {"layout": layout})


# --------------------------------------------------------------- the task


def make(num_envs=8, seed=0, **task):
    task = {"skill": "none", "start_motion": "stand"} | task
    return isaachrl.make("HumanoidHRLMaze", num_envs, device="cpu", seed=seed, cfg={"task": task})


def put(env, xy_w, yaw=None):
    """Stand the humanoids at `xy_w (N, 2)`."""
    task, n = env.task, env.num_envs
    rows, yaw = torch.zeros(n, dtype=torch.long), torch.zeros(n) if yaw is None else yaw
    env.sim.reset(torch.ones(n, dtype=torch.bool), *task._starts.placed(rows, xy_w, yaw))
    task.after_physics()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rays_and_walls_agree_with_the_physics(layout):
    env = make(16, layout=layout)
    xy = env.sim.root_pos_w[:, :2]
    angle = rotations.heading(env.sim.root_quat_w)[:, None] + torch.arange(16) * (2 * math.pi / 16)
    direction = torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)), dim=-1)
    origin = torch.cat((xy, torch.full((16, 1), 0.5)), dim=1)[:, None].expand(16, 16, 3).contiguous()
    expected = env.sim.rays(origin, direction).clamp(max=10.0)
    assert_close(10.0 * env.observe()["task"][:, 5:21], expected, rtol=0, atol=2e-4)


def test_each_world_may_hold_another_maze():
    env = make(16, layout="random")
    assert len({tuple(world.flatten().tolist()) for world in env.sim.mocap_pos_w[:, :-1]}) > 8


def test_humanoids_start_upright_on_the_floor_and_facing_anywhere():
    env = make(64)
    assert not env.task.terminated().any()
    assert rotations.heading(env.sim.root_quat_w).std() > 1.2
    for _ in range(3):
        env.advance(torch.zeros(64, 28))
    assert env.sim.root_linvel_w[:, 2].abs().max() < 1.0  # neither dropped nor pushed out of the floor


def test_clips_give_slow_starts_with_their_own_past():
    env = make(64, start_motion="builtin", start_speed_mps=0.8, style_frames=3)
    assert env.sim.root_linvel_w[:, :2].norm(dim=-1).max() <= 0.8001
    newest = env.observe()["style"].view(64, 3, -1)
    env.task.after_physics()  # the present frame once more: it equals the newest of the window
    assert_close(env.observe()["style"].view(64, 3, -1)[:, 0], newest[:, 0], rtol=0, atol=2e-2)
    assert (newest[:, 0] - newest[:, 2]).abs().max() > 1e-3


def test_progress_is_metres_gained_and_summed_over_an_episode():
    env = make(2, layout="corridor")
    env.task.goal.fill_(1 * 9 + 7)
    env.task.goal_w.copy_(torch.tensor([7.5, 0.0]).expand(2, 2))
    put(env, torch.tensor([[-7.5, 0.0], [0.0, 0.0]]))
    put(env, torch.tensor([[-7.2, 0.3], [-0.2, 0.0]]))
    assert_close(env.task.reward_terms()["progress"], numbers(0.3, -0.2))
    assert_close(env.task.distance_m, numbers(14.7, 7.7))


def test_who_comes_near_a_wall_pays_for_it():
    env = make(3, layout="corridor")
    put(env, torch.tensor([[0.0, 0.0], [0.0, 0.9], [-8.65, 0.0]]))
    assert_close(env.task.reward_terms()["wall"], numbers(0.0, 0.3, 0.8))


def test_a_jump_no_body_can_make_is_not_paid():
    """A body folded over a low wall may show its root on the far side: progress stays that of 10 m/s."""
    env = make(2, layout="umaze")
    env.task.goal_w.fill_(50.0)
    put(env, torch.tensor([[2.5, -2.5], [0.0, 0.0]]))
    for wall_xy in ([0.0, 0.1], [-2.5, 0.0], [0.32, -0.002], [0.32, 0.002]):
        put(env, torch.tensor([wall_xy, wall_xy]))
        assert (env.task.reward_terms()["progress"].abs() <= 10.0 / 30.0 + 1e-5).all()


def test_the_goal_ends_the_episode_as_a_success():
    env = make(3, layout="corridor")
    env.task.goal.fill_(1 * 9 + 5)
    env.task.goal_w.copy_(torch.tensor([2.5, 0.0]).expand(3, 2))
    env.task._shortest.fill_(10.0)
    env.task._walked.zero_()
    env.task._last_xy.copy_(torch.tensor([[-7.5, 0.0], [-7.5, 0.0], [-17.4, 0.0]]))
    put(env, torch.tensor([[1.4, 0.0], [1.6, 0.0], [2.6, 0.0]]))
    assert env.task.terminated().tolist() == [False, True, True]
    assert env.task.reward_terms()["goal"].tolist() == [0, 1, 1]
    metrics = env.task.metrics()
    assert metrics["success_rate"].tolist() == [0, 1, 1] and metrics["fall_rate"].tolist() == [0, 0, 0]
    # to the goal's edge 9 m were needed: 9.1 m walked are hardly a detour, 20 m are a long one
    assert metrics["path_efficiency"].isnan().tolist() == [True, False, False]
    assert_close(metrics["path_efficiency"][1:], numbers(9.0 / 9.1, 9.0 / 20.0))


def test_a_fallen_body_at_the_goal_has_failed():
    env = make(1)
    put(env, env.task.goal_w)
    env.sim.body_pos_w[:, 0, 2] = 0.3
    env.task.after_physics()
    assert env.task.terminated().item()
    assert (env.task.metrics()["success_rate"].item(), env.task.metrics()["fall_rate"].item()) == (0, 1)


@pytest.fixture
def rescued(tmp_path):
    """Builds the task under a skill and a rescue."""
    make_tiny_skill().save(tmp_path / "skill.pt")
    make_tiny_skill(latent_size=0).save(tmp_path / "rise.pt")
    files = {"skill": str(tmp_path / "skill.pt"), "rescue": str(tmp_path / "rise.pt"), "start_motion": "stand"}
    return lambda n, **task: isaachrl.make("HumanoidHRLMaze", n, device="cpu", cfg={"task": files | task}).inner


def test_a_fall_is_punished_once_and_may_be_recovered_from(rescued):
    env = rescued(2, layout="corridor")
    sim, task = env.sim, env.task
    task.goal_w.fill_(100.0)
    put(env, torch.zeros(2, 2))
    upright = sim.qpos.clone()
    lying = upright.clone()
    lying[1, 2:7] = torch.tensor([0.15, 0.5**0.5, 0.0, 0.5**0.5, 0.0])

    def place(qpos):
        sim.reset(torch.ones(2, dtype=torch.bool), qpos, torch.zeros_like(sim.qvel))
        task.after_physics()

    place(lying)
    assert task.fallen.tolist() == [False, True] and task.reward_terms()["fall"].tolist() == [0, 1]
    place(lying)
    assert task.reward_terms()["fall"].tolist() == [0, 0]
    assert not task.terminated().any()
    for _ in range(14):
        place(upright)
    assert task.fallen.tolist() == [False, True]
    place(lying)  # low again before half a second was over: the time starts anew
    for _ in range(15):
        assert task.fallen.tolist() == [False, True]
        place(upright)
    assert not task.fallen.any()
    assert task.metrics()["falls"].tolist() == [0, 1] == task.metrics()["rises"].tolist()


def test_staying_on_the_floor_for_too_long_has_failed(rescued):
    env = rescued(1, layout="corridor", rise_s=0.6)
    env.task.goal_w.fill_(100.0)
    for step in range(1, 20):
        env.sim.body_pos_w[:, 0, 2] = 0.3 if step < 16 or step == 19 else 0.9
        env.task.after_physics()
        # after 18 steps the time is over; but a body that is on its feet by then may go on standing
        assert env.task.terminated().item() == (step == 19)
    assert env.task.metrics()["fall_rate"].item() == 1
    env.task.reset(torch.ones(1, dtype=torch.bool))
    assert not env.task.fallen.any() and not env.task.terminated().any() and env.task.metrics()["falls"].item() == 0


def test_getting_up_takes_longer_than_it_takes_to_stand(rescued):
    with pytest.raises(ConfigError, match="rise_s=0.4: getting up takes more than 0.5 s"):
        rescued(1, rise_s=0.4)


def test_after_a_reset_the_new_target_is_shown():
    env = make(32, layout="random")
    old = env.task.goal_w.clone()
    mask = torch.arange(32) < 16
    obs = env.reset_where(mask)
    forward = rotations.axis_x(env.sim.root_quat_w)[:, :2]
    forward = forward / forward.norm(dim=-1, keepdim=True)
    to_goal = env.task.goal_w - env.sim.root_pos_w[:, :2]
    assert_close(obs["task"][:, 3] * 10.0, (to_goal * forward).sum(-1))
    assert_close(obs["task"][:, 2] * 10.0, to_goal.norm(dim=-1))
    assert_close(env.sim.mocap_pos_w[:, -1, :2], env.task.goal_w)  # the marker stands there
    assert torch.equal(old[16:], env.task.goal_w[16:]) and not torch.equal(old[:16], env.task.goal_w[:16])


def test_turning_the_body_turns_what_it_sees():
    env = make(1, layout="corridor")
    env.task.goal_w.copy_(torch.tensor([[7.5, 0.0]]))
    put(env, torch.zeros(1, 2), numbers(0.5 * math.pi) - rotations.heading(env.task._starts.qpos[:1, 3:7]))
    direction = env.observe()["task"][0, :2]
    assert_close(direction, numbers(0.0, -1.0), rtol=0, atol=1e-5)  # facing +y, the goal at +x is on the right


def test_the_guide_shows_the_way_as_the_body_sees_it():
    env = make(2, layout="umaze", guide=True)
    assert env.task.obs_sizes["task"] == make(1).task.obs_sizes["task"] + 5
    env.task.goal.fill_(3 * 5 + 1)
    env.task.goal_w.copy_(torch.tensor([-2.5, 2.5]).expand(2, 2))
    at = torch.tensor([[-2.5, -2.5], [2.5, 0.0]])
    put(env, at, numbers(0.5 * math.pi) - rotations.heading(env.task._starts.qpos[:1, 3:7]))
    env.task.after_physics()
    guide = env.observe()["task"][:, -5:]
    # facing +y: what lies at +x is on the right, so its second coordinate is negative
    expected = [[0.0, -1.0, 0.0, -2.0, 1.5], [1.0, 0.0, 1.0, 1.0, 0.75]]
    assert_close(guide, torch.tensor(expected), rtol=0, atol=1e-5)


def test_the_overview_shows_the_whole_maze():
    assert make(1).task.overview() == pytest.approx((-4.05, 4.05, -4.05, 4.05))


def test_the_length_of_an_episode_follows_the_layout_or_the_user():
    assert config.build(HumanoidHRLMazeCfg, {"layout": "large"}).limit_steps == 2850
    assert config.build(HumanoidHRLMazeCfg, {"layout": "large", "episode_steps": 50}).limit_steps == 50
    assert config.build(HumanoidHRLMazeCfg, {"layout": "random", "size": 3}).limit_steps == 540


@pytest.mark.parametrize(
    "wrong",
    [
        {"layout": "random", "size": 4},
        {"cell_m": 0.5},
        {"goal_radius_m": -1.0},
        {"goal_radius_m": 3.2},
        {"layout": "spiral"},
    ],
)
def test_impossible_mazes_are_refused(wrong):
    with pytest.raises(ConfigError, match="size=4|cell_m|goal_radius_m|layout"):
        config.build(HumanoidHRLMazeCfg, wrong, "task")


@pytest.mark.parametrize("guide", [False, True])
def test_what_is_seen_is_described_in_its_order(guide):
    env = isaachrl.make("HumanoidHRLMaze", 3, device="cpu", cfg={"task": {"skill": "none", "guide": guide}})
    layout, seen = env.obs_layout["task"], env.observe()["task"]
    parts = dict(zip([name for name, _, _ in layout], seen.split([size for _, size, _ in layout], dim=1), strict=True))
    assert torch.allclose(parts["goal_direction_h"].norm(dim=1), torch.ones(3))
    assert torch.allclose(parts["goal_direction_h"] * parts["goal_distance"], parts["goal_pos_h"], atol=1e-6)
    assert set(parts["map_h"].unique().tolist()) == {0.0, 1.0}
    assert ("way_length" in parts) is guide and env.step_s == pytest.approx(1 / 30)


# ------------------------------------------------------ published mazes

OGBENCH = ["ogbench_medium", "ogbench_large", "ogbench_giant"]


@pytest.mark.parametrize("layout", OGBENCH)
def test_the_mazes_are_those_of_the_package_cell_by_cell(layout):
    package = pytest.importorskip("ogbench.locomaze.maze", reason="compares with the package ogbench, if installed")
    theirs = package.make_maze_env("humanoid", "maze", maze_type=layout.removeprefix("ogbench_"))
    own = layouts.DRAWN[layout]
    assert layouts.plan(layout).walls.long().tolist() == theirs.maze_map.tolist()
    assert list(own.routes) == [(info["init_ij"], info["goal_ij"]) for info in theirs.task_infos]
    assert (own.cell_m, own.goal_radius_m) == (theirs._maze_unit, theirs._goal_tol)
    assert own.start_noise == own.goal_noise == theirs._noise / 4


@pytest.mark.parametrize(
    ("layout", "free", "lengths"),
    [
        ("ogbench_medium", 26, [10, 10, 6, 10, 8]),
        ("ogbench_large", 46, [15, 19, 12, 14, 15]),
        ("ogbench_giant", 86, [30, 26, 30, 26, 17]),
        ("humanoidbench", 19, [8]),
    ],
)
def test_published_routes_have_the_lengths_of_the_published_mazes(layout, free, lengths):
    """Free cells and shortest paths were counted on the published wall matrices by another program."""
    plan, routes = layouts.plan(layout), layouts.DRAWN[layout].routes
    paths, columns = maze.path_cells(plan.walls[None])[0], plan.walls.shape[1]
    flat = [[row * columns + column for row, column in route] for route in routes]
    assert int((~plan.walls).sum()) == free
    assert [sum(int(paths[a, b]) for a, b in itertools.pairwise(route)) for route in flat] == lengths


def test_a_published_maze_brings_its_dimensions_and_typed_keys_win():
    own = config.build(HumanoidHRLMazeCfg, {"layout": "ogbench_giant"})
    assert (own.geometry.cell_m, own.geometry.goal_radius_m, own.limit_steps) == (4.0, 0.5, 3000)  # 100 s at 30 Hz
    typed = {"layout": "ogbench_giant", "cell_m": 3.0, "goal_radius_m": 1.0, "episode_steps": 70}
    own = config.build(HumanoidHRLMazeCfg, typed)
    assert (own.geometry.cell_m, own.geometry.goal_radius_m, own.limit_steps) == (3.0, 1.0, 70)
    faster = config.build(HumanoidHRLMazeCfg, {"layout": "ogbench_medium", "substeps": 2})
    assert faster.limit_steps == 3000  # 50 s at 60 Hz
    assert config.build(HumanoidHRLMazeCfg, {"layout": "humanoidbench"}).limit_steps == 600


def middle_m(env, cell):
    return maze.cell_centre_m(env.task.bank, torch.tensor(cell[0] * env.task.bank.walls.shape[2] + cell[1]))


def test_evaluations_take_the_routes_in_equal_shares_and_trainings_any():
    cfg = config.build(HumanoidHRLMazeCfg, {"layout": "ogbench_medium"})
    assert cfg.routes is Routes.auto and cfg.for_evaluation().routes is Routes.fixed
    assert replace(cfg, routes=Routes.any).for_evaluation().routes is Routes.any
    assert config.build(HumanoidHRLMazeCfg, {"layout": "medium"}).for_evaluation().routes is Routes.auto
    env = make(10, layout="ogbench_medium", routes="fixed")
    first = env.task.route.clone()
    assert first.bincount().tolist() == [2] * 5
    for i, (begin, end) in enumerate(layouts.DRAWN["ogbench_medium"].routes):
        mine = env.task.route == i
        for position, cell in ((env.sim.root_pos_w[mine, :2], begin), (env.task.goal_w[mine], end)):
            beside = (position - middle_m(env, cell)).abs()
            assert beside.max() <= 1.0 and beside.min() > 0
    env.reset_where(torch.arange(10) < 5)
    assert env.task.route.tolist() == [*((first[:5] + 1) % 5).tolist(), *first[5:].tolist()]
    assert len(make(64, layout="ogbench_medium").task.goal.unique()) > 15  # of 26 cells


def test_success_is_reported_for_each_route():
    env = make(5, layout="ogbench_medium", routes="fixed")
    put(env, torch.where(env.task.route.unsqueeze(1) == 2, env.task.goal_w, 0.0))
    metrics = env.task.metrics()
    for i in range(5):
        rate = metrics[f"success_route_{i + 1}"]
        assert rate.isnan().tolist() == (env.task.route != i).tolist()
        assert rate.nansum() == (i == 2)
    assert "success_route_1" not in make(2, layout="ogbench_medium").task.metrics()


def test_the_way_left_ends_at_a_goal_beside_the_middle():
    env = make(5, layout="ogbench_medium")  # a free row: (6, 1), (6, 2), (6, 3)
    env.task.goal.fill_(6 * 8 + 1)
    middle = middle_m(env, (6, 1))
    env.task.goal_w.copy_(middle + torch.tensor([1.0, 0.5]))
    offsets = torch.tensor([[8.0, 0.0], [4.0, 0.0], [2.0, 0.5], [1.0, 0.5], [0.0, 0.5]])
    put(env, middle + offsets)
    # 2 m from the middle, half of the way and half of the 1 m that are left; 1 m from it, a quarter of the way
    assert_close(env.task.distance_m, numbers(8.0, 4.0, 1.5, 0.25, 1.0))


def test_checkpoints_come_one_after_the_other():
    env = make(2, layout="humanoidbench", routes="fixed")
    task = env.task
    cells = [middle_m(env, cell) for cell in layouts.DRAWN["humanoidbench"].routes[0]]
    assert_close(torch.stack(cells) - cells[0], torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 6.0], [6.0, 6.0]]))
    assert_close(task.goal_w, cells[1].expand(2, 2))
    for stage, cell in enumerate(cells[1:], 1):
        put(env, torch.stack((cells[3] + 0.1, cell + 0.2)))  # one skips the checkpoints
        assert task.terminated().tolist() == [False, stage == 3]
        assert task.reward_terms()["goal"].tolist() == [0, 1]
        task.after_reward(task.reward_terms())
        assert task.stage.tolist() == [0, min(stage, 2)]
        assert_close(task.goal_w, torch.stack((cells[1], cells[min(stage + 1, 3)])))
        assert_close(env.sim.mocap_pos_w[:, -1, :2], task.goal_w)
    assert task.metrics()["success_rate"].tolist() == [0, 1]
    assert task.metrics()["checkpoints"].tolist() == [0, 2]
    env.reset_where(torch.tensor([False, True]))
    assert task.stage.tolist() == [0, 0] and task.metrics()["success_rate"].tolist() == [0, 0]
    assert_close(task.goal_w[1], cells[1])


def test_the_position_is_shown_as_cells_times_the_heading():
    env = make(2, layout="umaze", observe_position=True)
    size = make(1).task.obs_sizes["task"]
    assert [(name, width) for name, width, _ in env.obs_layout["task"][-2:]] == [("root_cell", 21), ("goal_cell", 21)]
    env.task.goal.copy_(torch.tensor([1 * 5 + 3, 3 * 5 + 1]))
    turn = numbers(math.pi / 3, math.pi) - rotations.heading(env.task._starts.qpos[:1, 3:7])
    put(env, torch.tensor([[1.6, -3.0], [2.5, 0.0]]), turn)
    cells = env.observe()["task"][:, size:].view(2, 2, 3, 7)
    # the U's free cells, from the lowest y: three along x, the one to go round, three above
    for world, at, goal, heading in ((0, 2, 2, [1.0, 0.5, 0.75**0.5]), (1, 3, 4, [1.0, -1.0, 0.0])):
        for shown, cell in zip(cells[world], (at, goal), strict=True):
            assert_close(shown[:, cell], torch.tensor(heading), rtol=0, atol=1e-5)
            assert shown.abs().sum(0).count_nonzero() == 1
    put(env, torch.zeros(2, 2), turn)  # above a wall
    assert env.observe()["task"][:, size : size + 21].abs().sum() == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layout": "ogbench"}, "there is no such maze; did you mean ogbench_"),
        ({"layout": "large", "routes": "fixed"}, "layout=large has no routes of its own, as ogbench_medium, "),
        ({"layout": "random", "observe_position": True}, "observe_position=true: a position says nothing in a maze"),
    ],
)
def test_what_a_layout_does_not_have_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        config.build(HumanoidHRLMazeCfg, wrong, "task")


def test_the_page_gets_the_maze_with_a_box_for_each_inner_cell():
    env = make(1, layout="umaze")
    env.reset()
    scene, data = env.task.page()
    assert data["maze"]["rows"] == ["#####", "#...#", "###.#", "#...#", "#####"] and data["maze"]["cell_m"] == 2.5
    assert data["target"] == env.task.goal_w[0].tolist()
    assert len(env.sim.scene.boxes) < len(scene.boxes) == 4 + 3 * 3
    centres = torch.tensor([box.pos_m[:2] for box in scene.boxes[4:]])
    assert_close(centres[0], torch.tensor([-2.5, -2.5]))  # row by row, from the lowest y
    assert_close(centres[1], torch.tensor([0.0, -2.5]))
