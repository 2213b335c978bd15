"""The launcher's film: frames of one environment as `simulate` leaves it, and nothing read without one."""

import sys

import imageio.v3 as iio
import numpy as np
import pytest
import torch

import isaachrl.isaacgym
from isaachrl.compat.isaacgym import film as module
from isaachrl.compat.isaacgym import gymapi, gymtorch
from isaachrl.compat.isaacgym.film import WorldFilm
from isaachrl.compat.isaacgym.settings import SETTINGS
from isaachrl.errors import ConfigError, RenderError
from isaachrl.sim.cameras import ChaseCamera, View, fitting_distance, model_camera
from tests.compat.scenes import GYM, fill, load, new_sim, numbers, options, transform

STICK = """<mujoco><worldbody><body name="base"><geom type="box" size=".05 .05 .05" mass="1"/>
<body name="arm"><joint name="swing" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -.5" size=".04"/></body>
</body></worldbody></mujoco>"""
SCRIPT = """import sys, pathlib
from isaacgym import gymapi, gymtorch
from tests.compat.scenes import GYM, fill, load, new_sim, transform
from tests.compat.test_film import STICK
scene = new_sim(dt=0.02, ground=True)
fill(scene, [(load(scene, pathlib.Path(sys.argv[1]), STICK, fix_base_link=True), transform(z=1.0), None, 0)]).prepare()
dof = scene.wrap("dof_state")
dof[1, 0] = 1.5
GYM.set_dof_state_tensor(scene.sim, gymtorch.unwrap_tensor(dof))
for number in range(40):
    if number == int(sys.argv[2]):
        sys.exit(3)
    scene.step()
"""


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Runs the script with options of the launcher before it, and the step at which it ends after it."""
    monkeypatch.setattr(sys, "argv", [])
    (tmp_path / "script.py").write_text(SCRIPT)

    def launch(*words, end="-1"):
        isaachrl.isaacgym.main([*words, str(tmp_path / "script.py"), str(tmp_path), end])

    return launch


class Frames:
    """What a film is given."""

    def __init__(self, stage, path, fps):
        self.model, self.path, self.fps, self.writer = stage, path, fps, self
        self.shown, self.written = [], False

    def add(self, qpos, mocap):
        if len(self.shown) == getattr(self, "most", 1000):
            raise RenderError("the disk is full")
        self.shown.append((qpos.copy(), mocap.copy()))

    def __enter__(self):
        return self

    def __exit__(self, kind=None, *_):
        self.written = kind is None

    frames = property(lambda self: len(self.shown))

    def finish(self):
        self.finished = True

    def close(self):
        self.closed = True


@pytest.fixture
def films(monkeypatch):
    """Films that draw nothing."""
    made = []
    monkeypatch.setattr(module, "Stage", lambda model: model)
    monkeypatch.setattr(module, "Film", lambda *given: made.append(Frames(*given)) or made[-1])
    monkeypatch.setattr(SETTINGS, "film", None)
    return made


def test_a_film_shows_the_swinging_arm_of_its_environment(launch, tmp_path):
    launch("--film", str(tmp_path / "a.mp4"), "--film-world", "1", "--film-seconds=0.6")
    frames = iio.imread(tmp_path / "a.mp4").astype(int)
    assert frames.shape == (15, 480, 640, 3)  # 25 a second, every second step
    dark = (frames < 110).all(-1)
    assert dark[:, 100:380].sum((1, 2)).min() > 500  # the stick
    assert (dark[0] != dark[-1]).sum() > 1000  # moves
    assert SETTINGS.film is None


def test_frames_are_the_states_that_simulate_leaves(films, each_engine, tmp_path):
    SETTINGS.film = WorldFilm(tmp_path / "a.mp4", world=1, start_s=0.1, seconds=0.2)
    scene = new_sim(dt=0.02)
    stick = load(scene, tmp_path, STICK, fix_base_link=True)
    quarter = gymapi.Quat.from_axis_angle(gymapi.Vec3(0, 0, 1), np.pi / 2)
    fill(scene, [(stick, transform(z=1.0, r=quarter), None, 0), (stick, transform(x=5), None, 0)]).prepare()
    dof, root = scene.wrap("dof_state"), scene.wrap("actor_root_state").view(2, 2, 13)
    dof[2:, 0] = 0.5
    GYM.set_dof_state_tensor(scene.sim, gymtorch.unwrap_tensor(dof))
    states = []
    for number in range(20):
        scene.step()
        scene.refresh("dof_state")
        states.append(dof[2:, 0].tolist())
        if number == 9:
            root[1, 0, 3:7] = torch.tensor([0.0, 0.0, 0.0, 1.0])
            GYM.set_actor_root_state_tensor_indexed(scene.sim, gymtorch.unwrap_tensor(root), numbers(2), 1)
    (film,) = films
    assert film.written and film.finished and film.closed and film.fps == 25
    assert [qpos.tolist() for qpos, _ in film.shown] == [pytest.approx(states[i]) for i in (4, 6, 8, 10, 12)]
    half = np.sqrt(0.5)
    assert film.shown[0][1].tolist() == [
        pytest.approx([0, 0, 1, half, 0, 0, half]), pytest.approx([5, 0, 0, 1, 0, 0, 0])
    ]  # fmt: skip
    assert film.shown[-1][1][0, 3:].tolist() == pytest.approx([1, 0, 0, 0])


@pytest.mark.parametrize("film", [None, {"start_s": 9.0}, {"seconds": 0.01}])
def test_nothing_is_read_from_the_device_but_for_frames(films, film, tmp_path, monkeypatch):
    SETTINGS.film = film and WorldFilm(tmp_path / "a.mp4", **film)
    scene = new_sim()
    fill(scene, [(GYM.create_sphere(scene.sim, 0.1, options()), transform(), None, 0)]).prepare()
    scene.step()
    reads = []
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: reads.append(1) or self)
    scene.step(3)
    assert not reads


def test_a_script_that_ends_early_leaves_what_was_filmed(launch, films, tmp_path, caplog):
    with pytest.raises(SystemExit):
        launch(f"--film={tmp_path / 'a.mp4'}", end="7")
    assert films[0].written and len(films[0].shown) == 4 and SETTINGS.film is None
    launch(f"--film={tmp_path / 'a.mp4'}", "--film-start", "50")
    assert len(films) == 1 and "has not simulated 50 s" in caplog.text


def test_a_film_that_fails_does_not_end_the_script(launch, films, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(Frames, "most", 3, raising=False)
    launch(f"--film={tmp_path / 'a.mp4'}")
    assert not films[0].written and films[0].closed and "has ended: the disk is full" in caplog.text


def test_a_scaled_actor_has_its_size(films, tmp_path):
    SETTINGS.film = WorldFilm(tmp_path / "a.mp4", world=1)
    scene = new_sim()
    fill(scene, [(GYM.create_sphere(scene.sim, 0.1, options()), transform(), None, 0)])
    GYM.set_actor_scale(scene.envs[1], 0, 3.0)
    scene.prepare().step()
    assert films[0].model.geom_size[0, 0] == pytest.approx(0.3)
    assert scene.sim.physics.worlds.model.geom_size[0, 0] == pytest.approx(0.1)


@pytest.mark.parametrize("fixed", [True, False])
def test_the_camera_follows_the_first_actor_if_it_floats_and_else_shows_all(fixed):
    scene = new_sim()
    table = GYM.create_box(scene.sim, 2.0, 1.0, 0.1, options(fix_base_link=fixed))
    ball = GYM.create_sphere(scene.sim, 0.1, options())
    fill(scene, [(table, transform(z=0.5), None, 0), (ball, transform(x=4, z=0.5), None, 0)]).prepare()
    camera = model_camera(scene.sim.physics.worlds.model)
    if fixed:  # the table is seen as its box, the ball in all directions
        low, high = -1.0, 4.1
        assert isinstance(camera, View) and camera.lookat_w[0] == pytest.approx((low + high) / 2)
    else:
        assert isinstance(camera, ChaseCamera) and camera.distance_m < 1.6 * 4.0


def test_a_thin_long_actor_fills_the_width_of_the_picture(tmp_path):
    scene = new_sim()
    rail = GYM.create_box(scene.sim, 0.03, 8.0, 0.03, options(fix_base_link=True))
    fill(scene, [(rail, transform(z=2.0), None, 0)]).prepare()
    view = model_camera(scene.sim.physics.worlds.model, 4 / 3)
    azimuth = np.radians(view.azimuth_deg)
    right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
    ends = np.array([[0.0, y, 2.0] for y in (-4.0, 4.0)]) - view.lookat_w
    ahead = np.array([np.cos(azimuth), np.sin(azimuth), 0.0]) * np.cos(np.radians(view.elevation_deg))
    across = (ends @ right) / (view.distance_m + ends @ ahead) / (np.tan(np.radians(22.5)) * 4 / 3)
    assert 0.8 < np.abs(across).max() < 1.0 and np.abs(across).min() > 0.3  # of half the width


@pytest.mark.parametrize("elevation_deg", [0.0, -90.0])
def test_the_fitting_distance_of_a_square(elevation_deg):
    """Seen along x or from above, a square of 2 m fills the height at 1 m / tan 22.5°, and two thirds of the width."""
    view = View(np.array([1.0, 0.0, 0.0]), 0.0, 0.0, elevation_deg)
    corners = [[0.0, a, b] if elevation_deg == 0.0 else [a, b, 0.0] for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    distance = fitting_distance(view, view.lookat_w + np.array(corners), 45.0, 1.5)
    assert distance == pytest.approx(1.0 / np.tan(np.radians(22.5)))
    assert fitting_distance(view, view.lookat_w + np.array(corners), 45.0, 0.5) == pytest.approx(2 * distance)


@pytest.mark.parametrize("steps_a_second, every", [(60.2, 2), (30.1, 1), (200.0, 7)])
def test_a_film_has_about_thirty_frames_a_second(films, tmp_path, steps_a_second, every):
    SETTINGS.film = WorldFilm(tmp_path / "a.mp4")
    scene = new_sim(dt=1 / steps_a_second)
    fill(scene, [(GYM.create_sphere(scene.sim, 0.1, options()), transform(), None, 0)]).prepare().step()
    assert float(films[0].fps) == pytest.approx(steps_a_second / every, abs=1e-3)


@pytest.mark.parametrize("name", ["script.py", "film", "notes.txt", "a.avi"])
def test_a_film_in_place_of_the_script_overwrites_nothing(launch, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=r"type --film FILE\.mp4 before the script$"):
        isaachrl.isaacgym.main(["--film", str(tmp_path / name), "task=Ant", "headless=True"])
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--film=a.gif"], r"--film=a\.gif: a film is an \.mp4 file in a folder that exists; type --film FILE\.mp4"),
        (["--film=nowhere/a.mp4"], "folder that exists"),
        (["--film="], "--film=: a film is"),
        (["--film={}", "--film-seconds=0"], "above 0"),
        (["--film={}", "--film-world=-1"], "at least 0"),
        (["--film={}", "--film-world=2"], "the environments are 0 to 1"),
        (["--film={}", "--film-world=one"], "invalid int value: 'one'"),
        (["--films={}"], "arguments: --films|required"),
    ],
)
def test_bad_options_are_refused(launch, films, tmp_path, words, message):
    with pytest.raises(ConfigError, match=message):
        launch(*(word.format(tmp_path / "a.mp4") for word in words))
    assert SETTINGS.film is None


def test_a_simulation_with_y_up_is_not_filmed(films, tmp_path):
    SETTINGS.film = WorldFilm(tmp_path / "a.mp4")
    scene = new_sim()
    scene.sim.params.up_axis = gymapi.UP_AXIS_Y
    fill(scene, [(GYM.create_sphere(scene.sim, 0.1, options()), transform(), None, 0)]).prepare()
    with pytest.raises(ConfigError, match="up_axis is UP_AXIS_Y"):
        scene.step()
