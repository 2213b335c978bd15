"""The viewer in a browser: the page connects, shows a body that moves, and its button pushes the body."""

import threading

import pytest
import torch

import isaachrl
import tasks
from isaachrl.view.session import Session
from isaachrl.view.web import WebView
from tests.browser import browser, open_page

assert tasks
pytestmark = pytest.mark.slow


class Still:
    """A policy of zeros."""

    def __init__(self, env):
        self.env = env

    def act(self, obs):
        return torch.zeros(self.env.num_envs, self.env.action_size)

    def restart(self, mask):
        pass


@pytest.fixture
def view():
    pytest.importorskip("viser", reason="needs the extra view")
    torch.set_num_threads(1)
    env = isaachrl.make("HumanoidLocation", num_envs=1, cfg={}, device="cpu", seed=0)
    session = Session(env, Still(env))
    session.choice = session.choices["walk"]
    page = WebView(session, 0, "a page")
    yield page
    page.close()


@pytest.fixture
def tab(view):
    """A tab with the running page."""
    ended = threading.Event()
    with browser() as chromium:
        tab, errors = open_page(chromium, view.url)
        thread = threading.Thread(target=view.run, args=(ended.is_set,))
        thread.start()
        try:
            yield tab
        finally:
            ended.set()
            thread.join()
    assert errors == []


def walk_on(view, tab, seconds):
    """Wait until so much simulated time has passed."""
    end = view.session.time_s + seconds
    for _ in range(600):
        if view.session.time_s >= end:
            return
        tab.wait_for_timeout(50)
    raise AssertionError("the session stands still")


def shot(view, tab):
    """A picture of the page, while time stands still: drawing in software can take seconds."""
    view.session.paused = True
    picture = tab.screenshot()
    view.session.paused = False
    return picture


def test_a_page_connects_shows_a_moving_body_and_pushes_it(view, tab, monkeypatch):
    sim, velocities, forces = view.session.sim, [], []
    button = tab.get_by_role("button", name="push", exact=True)
    button.wait_for()
    walk_on(view, tab, 1.0)
    start, picture = sim.root_pos_w[0].clone(), shot(view, tab)
    walk_on(view, tab, 1.0)
    assert (sim.root_pos_w[0] - start).norm() > 0.2
    assert shot(view, tab) != picture and len(picture) > 3_000, "a uniform picture has 1 kB"

    def watch():
        velocities.append(float(sim.root_linvel_w[0, 1]))
        view.draw()

    push = sim.push
    monkeypatch.setattr(sim, "push", lambda force_w: (forces.append(force_w[0].tolist()), push(force_w)))
    view.session.on_frame = watch
    button.click()
    walk_on(view, tab, 1.0)
    assert [force[1] > 0.0 for force in forces] == [True, False], "along y, for a moment"
    gains = [after - before for before, after in zip(velocities, velocities[3:], strict=False)]
    assert max(gains) > 0.25, "in 0.1 s; a foot on the floor takes a part of it"
