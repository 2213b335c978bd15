"""The page of a session: its elements reach the session, and the worlds reach its scene."""

import socket
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import isaachrl
import tasks
from isaachrl.errors import ConfigError
from isaachrl.motion.sources import load_motion
from isaachrl.run.commands import play as playing
from isaachrl.sim import load_robot
from isaachrl.view import extra
from isaachrl.view.bodies import place_camera, shape_mesh, side_by_side
from isaachrl.view.motions import MotionView
from isaachrl.view.session import Session
from isaachrl.view.web import WebView

assert tasks


@pytest.fixture
def page():
    pytest.importorskip("viser", reason="the extra view is not installed")
    torch.set_num_threads(1)
    env = isaachrl.make("HumanoidLocation", num_envs=2, cfg={}, device="cpu", seed=0)

    class Still:
        def act(self, obs):
            return torch.zeros(env.num_envs, env.action_size)

        def restart(self, mask):
            pass

    session = Session(env, Still())
    session.speed = 1e6
    view = WebView(session, 0, "a page")
    yield view
    view.close()


def until(condition):
    """Callbacks of the page run in threads of its server."""
    end = time.monotonic() + 5.0
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_the_server_answers_and_bodies_move(page):
    port = page.server.get_port()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
    handles = page.bodies._handles

    def places():
        return np.concatenate([handle.batched_positions for handle in handles])

    page.session.step()
    before = places().copy()
    page._drawn = -np.inf
    page.session.step()
    assert before.shape == places().shape == (2 * sum(len(v.rows) for v in page.bodies._geometry.visuals), 3)
    assert np.abs(places() - before).max() > 0.01


def test_geoms_are_drawn_where_the_engine_has_them(page):
    page.session.step()
    page._drawn = -np.inf
    page.draw()
    sim, visuals = page.session.sim, page.bodies._geometry.visuals
    head = next(i for i, v in enumerate(visuals) if v.shape == "ellipsoid" or v.shape == "sphere")
    drawn = page.bodies._handles[head].batched_positions
    offset = np.array([[0, 0, 0], [0, page.gui["apart"].value, 0]])
    bodies = sim.body_pos_w.numpy() + offset[:, None]
    distance = np.linalg.norm(drawn[:, None] - bodies.reshape(1, -1, 3), axis=-1).min(1)
    assert (distance < 0.3).all(), "a geom lies near a body of its world"
    assert tuple(page.bodies.root.position)[:2] == pytest.approx(tuple(-sim.root_pos_w[0, :2].numpy()), abs=1e-5)


def test_buttons_and_sliders_reach_the_session(page):
    session, gui = page.session, page.gui
    session.step()
    before = session.sim.root_linvel_w.clone()
    gui["impulse"].value = 100.0
    gui["push"].value = True
    until(lambda: session._push_n is not None)
    session.step()
    assert (session.sim.root_linvel_w[:, 1] - before[:, 1] > 0.5).all()
    gui["pause"].value = True
    until(lambda: session.paused)
    assert gui["pause"].label == "continue" and gui["step"].visible
    gui["speed"].value = 0.5
    until(lambda: session.speed == 0.5)
    gui["reset"].value = True
    until(lambda: session._reset_asked)


def test_commands_and_targets_reach_the_session(page):
    session, gui = page.session, page.gui
    gui["choice"].value = "walk"
    until(lambda: session.choice is not None)
    assert torch.allclose(session.choice, session.choices["walk"], atol=1e-6)
    gui["blend"].value = "jog"
    gui["share"].value = 1.0
    until(lambda: torch.allclose(session.choice, session.choices["jog"], atol=1e-6))
    gui["choice"].value = "the policy"
    until(lambda: session.choice is None)
    gui["steer"].value = True
    gui["target_x_m"].value = 2.0
    until(lambda: session.target == {"target_x_m": 2.0, "target_y_m": 0.0})
    gui["steer"].value = False
    until(lambda: session.target is None)


def test_plots_show_the_terms_of_the_first_world(page):
    for _ in range(3):
        page.session.step()
    page._plot()
    data = page._terms._handle.data
    names = [line["label"] for line in page._terms._handle.series]
    assert names[:2] == ["s", "reward"] and set(names[2:]) == set(page.session.terms) - {"reward"}
    assert data[0].tolist() == pytest.approx(list(page.session.times_s))
    assert data[1].tolist() == pytest.approx(list(page.session.terms["reward"]))


def test_a_port_that_is_taken_is_refused():
    pytest.importorskip("viser", reason="the extra view is not installed")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port={port} cannot be used .*type port={port + 1}, or port=0"):
            extra.serve(port, "taken")


def test_a_page_that_fails_frees_its_port(monkeypatch):
    pytest.importorskip("viser", reason="the extra view is not installed")
    stopped = []

    class Server:
        """Has no scene."""

        def stop(self):
            stopped.append(self)

    monkeypatch.setattr("isaachrl.view.web.serve", lambda port, title: Server())
    monkeypatch.setattr("isaachrl.view.motions.serve", lambda port, title: Server())
    robot = load_robot("humanoid")
    session = Session(isaachrl.make("HumanoidLocation", num_envs=1, cfg={"task": {"skill": "none"}}, seed=0), None)
    with pytest.raises(AttributeError, match="scene"):
        WebView(session, 0, "a page")
    with pytest.raises(AttributeError, match="scene"):
        MotionView(load_motion("stand", robot)[0], robot, 0)
    assert len(stopped) == 2


def test_without_the_extra_it_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ConfigError, match=r'needs viser.*pip install -e "\.\[view\]", or view=native'):
        extra.serve(0, "nothing")


def test_an_episode_becomes_a_page(tmp_path):
    pytest.importorskip("viser", reason="the extra view is not installed")
    env = isaachrl.make("HumanoidLocation", num_envs=1, cfg={"task": {"episode_steps": 20}}, device="cpu", seed=0)
    path = tmp_path / "play.html"
    with playing.paging(env, path) as recorder:
        env.reset()
        recorder.begin()
        for _ in range(4):
            env.advance(torch.zeros(1, env.action_size))
            recorder.after_step(False)
    assert recorder.frames == 21, "a frame a control step, and the first"
    text = path.read_text()
    assert text.startswith("<!") and "__VISER_EMBED_DATA__=" in text and len(text) < 3e6
    assert env.observer is None


def test_worlds_stand_on_a_square_grid():
    assert side_by_side(3, 2.0).tolist() == [[0, 0], [0, 2], [2, 0]]


def test_shapes_have_the_sizes_of_their_geoms():
    pytest.importorskip("trimesh", reason="the extra view is not installed")
    from isaachrl.sim.geometry import Visual

    halves = {
        "sphere": (0.2, 0.2, 0.2), "capsule": (0.2, 0.2, 0.7), "ellipsoid": (0.2, 0.5, 0.1),
        "cylinder": (0.2, 0.2, 0.5), "box": (0.2, 0.5, 0.1),
    }  # fmt: skip
    for shape, half in halves.items():
        vertices, _ = shape_mesh(Visual(shape, (0.2, 0.5, 0.1), (1, 1, 1, 1), [0]))
        assert vertices.max(0) == pytest.approx(half, abs=0.01), shape
        assert vertices.min(0) == pytest.approx([-x for x in half], abs=0.01), shape


def test_walls_do_not_hide_the_body(page):
    def looks(scene):
        place_camera(page.server, scene)
        camera = page.server.initial_camera
        return np.array(camera.position) - np.array(camera.look_at)

    level, steep = looks(SimpleNamespace(boxes=())), looks(SimpleNamespace(boxes=("wall",)))
    assert 3.0 < np.linalg.norm(steep) < 7.0 and level[2] < 2.0
    assert steep[2] > np.linalg.norm(steep[:2]), "a wall of 1 m hides no more than the shins from half a metre away"
