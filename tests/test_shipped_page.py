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
POLICIES = ("HumanoidLocation", "HumanoidSteering")
WORLDS, MOMENTS = 8, 3
CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
TOLERANCE = 1e-4
LARGEST_BYTES = 15_000_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs the extra export"),
]


def command(task, world):
    """The command of a world, as the page has it."""
    if hasattr(task, "target_w"):
        return {"target": task.target_w[world].tolist()}
    return {"direction": task.direction_w[world].tolist(), "speed": float(task.speed_mps[world])}


@torch.no_grad()
def record(env, policy, networks):
    """States of walking bodies with their commands, and what Python observes and does there."""
    high, low = networks["high_level"].module, networks["low_level"].module
    task, states, expected = env.inner.task, [], []
    for _ in range(MOMENTS):
        obs = env.observe()
        latent = high(env.policy_input(obs))
        action = low(obs["proprioception"], latent)
        for world in range(WORLDS):
            qpos, qvel = env.inner.sim.qpos[world].tolist(), env.inner.sim.qvel[world].tolist()
            states.append({"qpos": qpos, "qvel": qvel, "command": command(task, world)})
            values = {"proprioception": obs["proprioception"], "task": obs["task"], "latent": latent, "action": action}
            expected.append({name: value[world] for name, value in values.items()})
        env.step(policy.act(env.observe()))
        for world, values in enumerate(expected[-WORLDS:]):
            values["next_qpos"] = env.inner.sim.qpos[world].clone()
        for _ in range(3):
            env.step(policy.act(env.observe()))
    return states, expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page is written; the two policies share it, and the skill."""
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
    env, policy = isaachrl.load(f"assets/policies/{name}.pt", WORLDS, "mujoco", "cpu", seed=3)
    networks = {exported.name: exported for exported in exports(policy.policy.module, policy.env)}
    page.require_page(list(networks.values()))
    for level in page.LEVELS:
        if level == "high_level" or not (folder / "low_level.onnx").exists():
            export_network(networks[level], folder)
    page.write_page(folder / "web", name, folder, policy.env, policy.env.inner.task.cfg)
    states, expected = record(policy.env, policy, networks)
    (folder / "states.json").write_text(json.dumps(states))
    words = [NODE, CHECK, folder / "web", name, folder / "states.json", "300"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "web", json.loads(done.stdout), expected


@pytest.mark.parametrize("what", ["proprioception", "task", "latent", "action"])
def test_javascript_observes_and_acts_as_python_does(checked, what):
    _, printed, expected = checked
    found = torch.tensor([result[what] for result in printed["results"]])
    wanted = torch.stack([values[what] for values in expected])
    assert found.shape == wanted.shape and len(found) == WORLDS * MOMENTS and wanted.std() > 0.05
    assert float((found - wanted).abs().max()) <= TOLERANCE


def test_a_decision_later_the_bodies_are_where_they_are_in_python(checked):
    """The engines are of two versions, and the states were rounded to float32: 2e-6 where this was written."""
    _, printed, expected = checked
    found = torch.tensor([result["next_qpos"] for result in printed["results"]])
    wanted = torch.stack([values["next_qpos"] for values in expected])
    assert float((found - wanted).abs().max()) <= 1e-3


def test_the_humanoid_walks_as_commanded_and_can_be_pushed_and_reset(checked):
    """Of 16 bodies that start slightly differently, none falls, and those with a target end 3.8 to 4.1 m ahead."""
    _, printed, _ = checked
    assert not printed["fell"]
    assert printed["end"][0] - printed["start"][0] > 2.5, "four metres ahead lies the target, or 10 s at 1 m/s"
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
