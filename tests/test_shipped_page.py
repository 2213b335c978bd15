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
from isaachrl.learn.ppo.networks import exports
from isaachrl.run.commands import page
from isaachrl.run.commands.export import export_network

NODE = shutil.which("node")
CHECK = Path(__file__).parent / "page_check.mjs"
POLICIES = {
    "HumanoidHRLMaze": "assets/skills/mazes.pt",
    "HumanoidLocation": "assets/policies/HumanoidLocation.pt",
    "HumanoidPush": "assets/policies/HumanoidPush.pt",
    "HumanoidSteering": "assets/policies/HumanoidSteering.pt",
    "HumanoidTrajectory": "assets/policies/HumanoidTrajectory.pt",
}
WORLDS, MOMENTS, ADVANCED = 8, 40, 3
STEPS = 300
EDGE_M = 1e-5  # from where a ray or a point of the map crosses into another cell
CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
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
    if hasattr(task, "direction_w"):
        return {"command": {"direction": task.direction_w[world].tolist(), "speed": float(task.speed_mps[world])}}
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
    words = [NODE, CHECK, folder / "web", name, folder / "states.json", str(STEPS)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "web", json.loads(done.stdout), expected


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
    folder, printed, _ = checked
    print({k:v for k,v in printed.items() if k not in ("results","parts")})
    assert printed["pushed_mps"] > 0.3, "40 N s on 51 kg"
    assert printed["steps_after_reset"] == 1


def test_the_page_is_small_complete_and_has_licences(checked):
    folder, printed, _ = checked
    assert printed["parts"] == [name for name, _, _ in page.TASK_PARTS]
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LARGEST_BYTES
    licences = (folder / "vendor" / "licences.txt").read_text(encoding="utf-8")
    for package in page.PACKAGES:
        assert f"{package.name} {package.version}" in licences
        assert all((folder / "vendor" / name).is_file() for name in package.files.values())
    assert "Apache License" in licences and "Microsoft Corporation" in licences and "three.js authors" in licences


@pytest.fixture
def browser():
    """A headless browser that draws in software."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


@pytest.fixture
def address(checked):
    """Where a static server shows the page."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Handler, directory=checked[0])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_keys_and_buttons_steer_in_a_browser(browser, address):
    tab = browser.new_page(viewport={"width": 320, "height": 240})
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))

    def wait(condition):
        tab.wait_for_function(f"globalThis.simulation && {condition}", timeout=60_000)

    tab.goto(address)
    wait("simulation.steps >= 1")
    start = tab.evaluate("simulation.root.pos")
    tab.keyboard.down("ArrowUp")
    wait("simulation.steps >= 60")
    tab.keyboard.up("ArrowUp")
    moved = [now - then for now, then in zip(tab.evaluate("simulation.root.pos"), start, strict=True)]
    ahead = tab.evaluate("simulation.command.direction")
    assert moved[0] * ahead[0] + moved[1] * ahead[1] > 0.5 and not tab.evaluate("simulation.fallen")
    assert len(tab.screenshot()) > 5_000, "a uniform picture has 1 kB"
    tab.click("#push")
    wait("simulation.force && simulation.pushSteps < 0")
    tab.click("#reset")
    wait("simulation.steps < 30")
    assert errors == []
