"""The page with shipped policies: its JavaScript observes and acts as Python does, and its humanoid walks."""

import functools
import http.server
import importlib.util
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import torch

import isaachrl
from isaachrl.errors import IsaacHRLError
from isaachrl.learn.networks import exports
from isaachrl.run.commands import page
from isaachrl.run.commands.export import export_network
from tasks.humanoid_dodge import BALLS
from tests.browser import browser, open_page

NODE = shutil.which("node")
CHECK = Path(__file__).parent / "page_check.mjs"
POLICIES = {
    "HumanoidDodge": "assets/policies/HumanoidDodge.pt",
    "HumanoidDribble": "assets/policies/HumanoidDribble.pt",
    "HumanoidHRLMaze": "assets/skills/mazes.pt",
    "HumanoidLocation": "assets/policies/HumanoidLocation.pt",
    "HumanoidPush": "assets/policies/HumanoidPush.pt",
    "HumanoidSteering": "assets/policies/HumanoidSteering.pt",
    "HumanoidTopple": "assets/policies/HumanoidTopple.pt",
    "HumanoidTrajectory": "assets/policies/HumanoidTrajectory.pt",
}
WORLDS, MOMENTS, ADVANCED = 8, 40, 3
STEPS = 300
SLOW = ("HumanoidDribble", "HumanoidHRLMaze", "HumanoidPush")  # tasks that take longer than that many steps
EDGE_M = 1e-5  # from where a ray or a point of the map crosses into another cell
TOLERANCE = 1e-4
LARGEST_BYTES = 15_000_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs the extra export"),
]


def command(task, world):
    """The command of a world and its maze, as the page has them."""
    if hasattr(task, "path"):
        return {"command": {"path": task._points_w(task._ahead_s)[world].tolist()}}
    if hasattr(task, "thrown"):
        return {"command": {"newest": int(task.thrown[world] - 1) % BALLS}}
    if hasattr(task, "direction_w"):
        return {"command": {"direction": task.direction_w[world].tolist(), "speed": float(task.speed_mps[world])}}
    if not hasattr(task, "goal_w") and not hasattr(task, "target_w"):
        return {"command": {}}
    walls = task.bank.walls[task.maze_id[world]].tolist() if hasattr(task, "bank") else []
    target = (task.goal_w if hasattr(task, "goal_w") else task.target_w)[world].tolist()
    return {"command": {"target": target}, "rows": ["".join(".#"[wall] for wall in row) for row in walls]}


def near_edges(task):
    """`(N,)` bool: rounding decides in which cell a ray ends or a point of the map lies."""
    if not hasattr(task, "bank"):
        return torch.zeros(WORLDS, dtype=torch.bool)
    pose, here = task._view_pose, task.observe_task()
    moved = []
    for shift in ([EDGE_M, 0.0], [-EDGE_M, 0.0], [0.0, EDGE_M], [0.0, -EDGE_M]):
        task._view_pose = torch.cat((pose[:, :2] + torch.tensor(shift), pose[:, 2:]), dim=1)
        moved.append((task.observe_task() - here).abs().amax(1) > 10 * EDGE_M)
    task._view_pose = pose
    return torch.stack(moved).any(0)


@torch.no_grad()
def record(env, policy, networks):
    """States of walking bodies with their commands, and what Python observes and does there."""
    high, low = networks["high_level"].module, networks["low_level"].module
    task, sim, states, expected = env.inner.task, env.inner.sim, [], []
    env.reset()
    for moment in range(MOMENTS):
        obs, edges = env.observe(), near_edges(task)
        latent = high(env.policy_input(obs))
        action = low(obs["proprioception"], latent)
        kept = [world for world in range(WORLDS) if not edges[world]]
        for world in kept:
            state = {"qpos": sim.qpos[world].tolist(), "qvel": sim.qvel[world].tolist()}
            states.append(state | command(task, world) | {"advance": moment < ADVANCED})
            values = {"proprioception": obs["proprioception"], "task": obs["task"], "latent": latent, "action": action}
            expected.append({name: value[world] for name, value in values.items()})
        done = env.step(policy.act(obs)).done
        for world, values in zip(kept, expected[-len(kept) :], strict=True):
            if moment < ADVANCED and not done[world]:
                values["next_qpos"] = sim.qpos[world].clone()
    return states, expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page is written; the policies share it, and their skills."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module", params=POLICIES)
def checked(request, folder):
    """The page's folder, what the check under node printed, and what Python expects."""
    if NODE is None:
        pytest.skip("needs node")
    try:
        page.fetch_all()
    except IsaacHRLError as error:
        pytest.skip(f"needs packages of npm: {error}")
    name = request.param
    env, policy = isaachrl.load(POLICIES[name], WORLDS, "mujoco", "cpu", seed=3)
    networks = {exported.name: exported for exported in exports(policy.policy.module, policy.env)}
    page.require_page(list(networks.values()))
    skill = folder / Path(policy.env.inner.task.cfg.skill).stem
    skill.mkdir(exist_ok=True)
    export_network(networks["high_level"], skill)
    if not (skill / "low_level.onnx").exists():
        export_network(networks["low_level"], skill)
    page.write_page(folder / "web", name, skill, policy.env, policy.env.inner.task.cfg)
    states, expected = record(policy.env, policy, networks)
    (folder / "states.json").write_text(json.dumps(states))
    steps = 2 * STEPS if name in SLOW else STEPS
    words = [NODE, CHECK, folder / "web", name, folder / "states.json", str(steps)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "web" / "policies" / name, json.loads(done.stdout), expected


@pytest.mark.parametrize("what", ["proprioception", "task", "latent", "action"])
def test_javascript_observes_and_acts_as_python_does(checked, what):
    _, printed, expected = checked
    found = torch.tensor([result[what] for result in printed["results"]])
    wanted = torch.stack([values[what] for values in expected])
    assert found.shape == wanted.shape and len(found) >= STEPS and wanted.std() > 0.05
    assert float((found - wanted).abs().max()) <= TOLERANCE


def test_a_decision_later_the_bodies_are_where_they_are_in_python(checked):
    """The engines are of two versions, and the states were rounded to float32: 2e-6 where this was written."""
    _, printed, expected = checked
    pairs = zip(printed["results"], expected, strict=True)
    both = [(torch.tensor(got["next_qpos"]), want["next_qpos"]) for got, want in pairs if "next_qpos" in want]
    assert len(both) > (ADVANCED - 1) * WORLDS
    assert max(float((found - wanted).abs().max()) for found, wanted in both) <= 1e-3


def test_the_humanoid_does_its_task_and_can_be_pushed_and_reset(checked):
    """WebAssembly computes the same on every processor: only the start differs in last bits."""
    folder, printed, _ = checked
    assert not printed["fell"]
    if folder.name == "HumanoidDodge":
        assert printed["text"].startswith("hits: "), "0 or 1 in 10 s"
    elif folder.name == "HumanoidDribble":
        assert printed["object"]["along_m"] > 1.0, "20 s for a ball that first lies somewhere else"
    elif folder.name == "HumanoidTopple":
        assert int(printed["text"].split()[-1]) >= 1, "10 s for pillars at most 6 m away"
    elif folder.name == "HumanoidHRLMaze":
        assert printed["arrivals"] == 1, "20 s for at most 25 cells"
    elif folder.name == "HumanoidPush":
        assert printed["object"]["after_m"] < printed["object"]["before_m"] - 1.0
    elif folder.name == "HumanoidTrajectory":
        assert printed["walked_m"] > 8.0 and printed["off_path_m"] < 1.0, "10 s at 1.1 m/s"
    else:
        assert printed["walked_m"] > 2.5, "four metres ahead lies the target, or 10 s at 1 m/s"
    assert printed["pushed_mps"] > 0.3, "40 N s on 51 kg"
    assert printed["steps_after_reset"] == 1


def test_the_page_is_small_complete_and_has_licences(checked):
    policy, printed, _ = checked
    folder = policy.parents[1]
    assert printed["parts"] == list(dict.fromkeys(name for name, _, _ in page.TASK_PARTS))
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LARGEST_BYTES
    licences = (folder / "vendor" / "licences.txt").read_text(encoding="utf-8")
    for package in page.PACKAGES:
        assert f"{package.name} {package.version}" in licences
        assert all((folder / "vendor" / name).is_file() for name in package.files.values())
    assert "Apache License" in licences and "Microsoft Corporation" in licences and "three.js authors" in licences
    assert policy.name in json.loads((folder / "policies.json").read_text())


@pytest.fixture
def opened(checked):
    """The page in a browser, at one of its policies."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    policy = checked[0]
    handler = functools.partial(Handler, directory=policy.parents[1])
    with browser() as chromium, http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab, errors = open_page(chromium, f"http://127.0.0.1:{server.server_port}/?policy={policy.name}")
        tab.wait_for_function("globalThis.simulation && simulation.steps >= 1")
        yield tab
        server.shutdown()
    assert errors == []


@pytest.mark.parametrize("checked", ["HumanoidLocation"], indirect=True)
def test_keys_and_buttons_steer_in_a_browser(opened):
    start = opened.evaluate("[...simulation.root.pos]")
    opened.keyboard.down("ArrowUp")
    ahead = "simulation.command.direction"
    way = f"(simulation.root.pos[0] - {start[0]}) * {ahead}[0] + (simulation.root.pos[1] - {start[1]}) * {ahead}[1]"
    opened.wait_for_function(f"{way} > 0.5")  # however late the key arrives on a busy machine
    opened.keyboard.up("ArrowUp")
    assert not opened.evaluate("simulation.fallen")
    assert len(opened.screenshot()) > 5_000, "a uniform picture has 1 kB"
    assert opened.text_content("#hint") == "", "nothing of mazes and balls"
    opened.click("#push")
    opened.wait_for_function("simulation.force && simulation.pushSteps < 0")
    opened.click("#reset")
    opened.wait_for_function("simulation.steps < 30")


@pytest.mark.parametrize("checked", ["HumanoidHRLMaze"], indirect=True)
def test_a_maze_is_drawn_in_a_browser(opened):
    opened.click("#clear")
    assert "plan" in opened.text_content("#hint")
    inner = "simulation.maze.walls.filter((wall, cell) => wall && simulation.maze.isInner(cell)).length"
    assert opened.evaluate(inner) == 0
    columns, rows = opened.evaluate("[simulation.maze.width, simulation.maze.height]")
    plan = opened.locator("#plan").bounding_box()
    row, column = opened.evaluate("simulation.root.pos.slice(0, 2).map((x) => (x < 0 ? 5 : 1)).reverse()")
    at = {"x": (column + 0.5) / columns * plan["width"], "y": (rows - row - 0.5) / rows * plan["height"]}
    opened.locator("#plan").click(position=at)  # in the corner that is farthest from the body
    assert opened.evaluate(f"[{inner}, simulation.maze.isWall({row}, {column})]") == [1, True]
    heights = opened.evaluate("[...simulation.data.mocap_pos].filter((_, i) => i % 3 === 2)")
    assert sum(height > 0 for height in heights) == 4 + 1 + 1, "the border, the wall and the marker of the goal"
    opened.locator("#plan").click(position=at)
    assert opened.evaluate(inner) == 0


@pytest.mark.parametrize("checked", ["HumanoidTrajectory"], indirect=True)
def test_a_path_is_drawn_in_a_browser(opened):
    opened.click("#draw")
    opened.mouse.move(160, 170)
    opened.mouse.down()
    for x in range(165, 260, 5):
        opened.mouse.move(x, 160)
    opened.mouse.up()
    assert opened.evaluate("simulation.path.line.length") > 3
    assert opened.get_attribute("#draw", "aria-pressed") == "false"
    start = opened.evaluate("simulation.path.point")
    steps = opened.evaluate("simulation.steps")
    opened.wait_for_function(f"simulation.steps > {steps} + 10")
    assert opened.evaluate("simulation.path.point") != start


@pytest.mark.parametrize("checked", ["HumanoidDodge"], indirect=True)
def test_a_click_throws_a_ball_in_a_browser(opened):
    assert "ball" in opened.text_content("#hint")
    opened.evaluate("simulation.moving.wait_s = Infinity")
    assert opened.evaluate("simulation.command.newest") == 0
    opened.mouse.click(160, 190)
    opened.wait_for_function("simulation.command.newest === 1 && simulation.moving.wait_s <= 4")
    assert "hits: " in opened.text_content("#status")
