"""Playing: a film of every step of the body, and numbers even where nothing can be drawn."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import cast

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from torch import Tensor

from isaachrl.envs import Task, TaskCfg
from isaachrl.envs.env import innermost
from isaachrl.envs.registry import World, task_env
from isaachrl.errors import ConfigError, RenderError
from isaachrl.hierarchy.hierarchical_env import HierarchicalEnv, HierarchyCfg
from isaachrl.run.commands import play as module
from isaachrl.run.commands.play import filming
from isaachrl.run.recording.stills import GAP, Stills
from isaachrl.sim import Scene
from isaachrl.sim import film as record
from isaachrl.sim.film import Film, Stage, VideoWriter, frame_rate


class Stand(Task[TaskCfg]):
    """A humanoid on a floor that nobody moves, with a map."""

    def __init__(self, cfg, sim, generator):
        super().__init__(cfg, sim, generator)
        self.obs_sizes, self.policy_groups, self.action_size = {"proprioception": 1}, ("proprioception",), 2

    @classmethod
    def scene(cls, cfg):
        return Scene(markers=("goal",))

    def overview(self):
        return (-2.0, 2.0, -1.0, 1.0)

    def apply(self, action: Tensor) -> None:
        self.sim.ctrl.zero_()

    def after_physics(self) -> None:
        pass

    def reward_terms(self):
        return {}

    def terminated(self):
        return torch.zeros(self.sim.num_envs, dtype=torch.bool)

    def reset(self, mask: Tensor) -> None:
        qpos = self.sim.robot.qpos0.expand(self.sim.num_envs, -1)
        self.sim.reset(mask, qpos, torch.zeros_like(self.sim.qvel))

    def observe(self):
        return {"proprioception": self.sim.root_pos_w[:, 2:].clone()}


class Idle:
    """A skill that does nothing."""

    latent_size = 3

    def project(self, command):
        return command

    def act(self, proprioception, latent):
        return torch.zeros(len(latent), 2)

    def style_reward(self, style_window, latent):
        return torch.zeros(len(latent))


@pytest.fixture
def stand():
    world = World(2, "auto", torch.device("cpu"), torch.Generator())
    return task_env(Stand)(TaskCfg(episode_steps=4), world)


def film(env, path, steps):
    threads = threading.active_count()
    with filming(env, path, enabled=True) as recorder:
        assert recorder is not None, "this machine cannot draw"
        env.reset()
        for _ in range(steps):
            result = env.step(torch.zeros(env.num_envs, env.action_size))
            recorder.after_step(bool(result.done[0]))
    assert threading.active_count() == threads
    return list(iio.imiter(path))


def test_every_inner_step_of_a_hierarchy_is_on_film(stand, tmp_path):
    inner = HierarchicalEnv(stand, Idle(), HierarchyCfg(steps=3, style_weight=0.0))
    outer = HierarchicalEnv(inner, Idle(), HierarchyCfg(steps=2, style_weight=0.0))
    assert innermost(outer) is stand
    frames = film(outer, tmp_path / "play.mp4", steps=2)
    assert len(frames) == 2 * 3 * 2
    assert inner.observer is None  # nobody listens afterwards
    assert sorted(path.name for path in tmp_path.iterdir()) == ["play.jpg", "play.mp4"]


def test_picture_shows_the_body_and_beside_it_the_map(stand, tmp_path):
    frames = film(stand, tmp_path / "play.mp4", steps=3)
    assert len(frames) == 3 and frames[0].shape == (480, 640 + 480, 3)
    chase, above = frames[1][:, :640].astype(int), frames[1][:, 640:].astype(int)
    assert chase.std() > 10 and above.std() > 3
    beacon = (above[..., 2] > above[..., 0] + 60).nonzero()
    # at the origin, in the middle of the map; its radius is 0.3 m of the 4.32 m that are 480 pixels wide
    assert abs(beacon[0].mean() - 240) < 8 and abs(beacon[1].mean() - 240) < 8
    assert 40 < np.ptp(beacon[1]) < 80


def test_a_second_of_film_is_a_second_of_the_simulation(tmp_path):
    world = World(1, "auto", torch.device("cpu"), torch.Generator())
    fast = task_env(Stand)(TaskCfg(episode_steps=30, substeps=1), world)  # 120 steps a second
    assert fast.step_s == pytest.approx(1 / 120)
    frames = film(fast, tmp_path / "play.mp4", steps=24)
    about = iio.immeta(tmp_path / "play.mp4")
    assert len(frames) == 24 / 4 and about["fps"] == 30 and about["duration"] == pytest.approx(24 / 120)


@pytest.mark.parametrize(
    ("step_s", "every", "fps"),
    [(1 / 30, 1, 30), (1 / 60, 2, 30), (1 / 120, 4, 30), (0.1, 1, 10), (0.02, 2, 25), (0.04, 1, 25), (0.15, 1, 20 / 3),
     (1 / 30.1, 1, 30.1), (1 / 60.2, 2, 30.1), (1 / 40, 1, 40), (1 / 50, 2, 25), (0.0083, 4, 30.12048)],
)  # fmt: skip
def test_pictures_follow_each_other_about_30_times_a_second(step_s, every, fps):
    steps, rate = frame_rate(step_s)
    assert steps == every and float(rate) == pytest.approx(fps, abs=1e-4)


def test_pictures_are_written_in_order_whoever_draws_fastest(tmp_path):
    class Slow:
        """Draws the first pictures slowest."""

        size, behind = (64, 64), 4

        def __init__(self):
            self.threads, self.shown = ThreadPoolExecutor(4), threading.Event()

        def draw(self, qpos, mocap_pos_w):
            return self.threads.submit(self.paint, int(qpos[0]))

        def paint(self, number):
            assert number % 4 != 0 or self.shown.wait(5)
            if number % 4 == 3:
                self.shown.set()
            return np.full((64, 64, 3), 10 * number, np.uint8)

        def close(self):
            self.threads.shutdown()

    film = Film(cast(Stage, Slow()), tmp_path / "a.mp4", Fraction(30), limit=20)
    with film.writer:
        for number in range(25):
            film.add(np.array([number]), np.zeros((0, 3)))
        film.finish()
    film.close()
    shown = [frame.mean() for frame in iio.imiter(tmp_path / "a.mp4")]
    assert np.abs(np.array(shown) - 10 * np.arange(20)).max() < 3


@pytest.fixture
def renderers(monkeypatch):
    """Renderers that draw nothing and say which thread they were used in; `most` of them can be made."""

    class Fake:
        most, made, threads, closed = 9, 0, [], 0

        def __init__(self, source, width, height):
            if Fake.made == Fake.most:
                raise RenderError("no further context")
            Fake.made += 1
            Fake.threads.append(threading.get_ident())

        def frame(self, qpos, mocap_pos_w, camera):
            Fake.threads.append(threading.get_ident())
            return np.full((480, 640, 3), int(qpos[7]), np.uint8)

        def close(self):
            Fake.threads.append(threading.get_ident())
            Fake.closed += 1

    monkeypatch.setattr(record, "SceneRenderer", Fake)
    monkeypatch.setattr(record, "usable_cores", lambda: [0, 1, 2])
    monkeypatch.setattr(record, "any_thread_draws", lambda: True)
    return Fake


def draw_five():
    """What five pictures of a stage show, and how many it works at."""
    stage, qpos = Stage(Scene()), np.zeros(35)
    qpos[3] = 1.0
    coming = []
    for number in range(5):
        qpos[7] = number
        coming.append(stage.draw(qpos, np.zeros((0, 3))))
    shown = [int(picture.result().mean()) for picture in coming]
    stage.close()
    return shown, stage.behind // 2


def test_offscreen_contexts_have_threads_of_their_own(renderers):
    threads = threading.active_count()
    assert draw_five() == ([0, 1, 2, 3, 4], 3)
    assert len(set(renderers.threads)) == 3 and threading.get_ident() not in renderers.threads
    assert renderers.made == renderers.closed == 3 and threading.active_count() == threads


def test_contexts_of_a_window_system_stay_in_the_calling_thread(renderers, monkeypatch):
    monkeypatch.setattr(record, "any_thread_draws", lambda: False)
    assert draw_five() == ([0, 1, 2, 3, 4], 1)
    assert set(renderers.threads) == {threading.get_ident()} and renderers.made == renderers.closed == 1
    renderers.most = renderers.made
    with pytest.raises(RenderError, match="no further context"):
        Stage(Scene())


@pytest.mark.parametrize("most", [1, 2])
def test_a_driver_that_refuses_further_contexts_has_fewer_painters(renderers, most):
    threads, renderers.most = threading.active_count(), most
    assert draw_five() == ([0, 1, 2, 3, 4], most)
    assert renderers.made == renderers.closed == most and threading.active_count() == threads


def test_without_any_context_there_is_no_stage(renderers):
    renderers.most = 0
    with pytest.raises(RenderError, match="no further context"):
        Stage(Scene())


def test_a_sheet_shows_the_episodes_that_ended(stand, tmp_path):
    film(stand, tmp_path / "play.mp4", steps=9)  # episodes of 4 steps
    sheet = iio.imread(tmp_path / "play.jpg")
    assert sheet.shape == (2 * (240 + GAP), 5 * (560 + GAP), 3)


def test_stills_are_spread_evenly_over_episodes_of_any_length():
    stills = Stills()
    for length in (1, 3, 200):
        for number in range(length):
            stills.add(np.full((20, 20, 3), round(240 * number / max(length - 1, 1)), np.uint8))
        stills.end_episode()
    sheet = iio.imread(stills.sheet(), extension=".jpg")[..., 0].astype(int)
    assert sheet.shape == (3 * (20 + GAP), 5 * (20 + GAP))
    shown = sheet[10 :: 20 + GAP, 10 :: 20 + GAP]
    assert np.abs(shown[0]).max() < 8
    assert np.abs(shown[1] - [0, 0, 120, 240, 240]).max() < 8
    assert np.abs(shown[2] - [0, 60, 120, 180, 240]).max() < 16


def test_numbers_without_a_renderer(launch, monkeypatch, capsys, caplog):
    launch(max_iterations=1, run_dir="run")

    def broken(*_):
        raise RenderError("no renderer works here; install libegl1")

    monkeypatch.setattr(module, "Recorder", broken)
    monkeypatch.setattr("isaachrl.run.commands.play.log.parent.propagate", True, raising=False)
    summary = launch(mode="play", checkpoint="run", num_envs=2, episodes=4)
    printed = capsys.readouterr().out
    assert summary["episodes"] == 4 and summary["video"] is None
    assert json.loads(printed.splitlines()[-1]) == json.loads(Path("run/play.json").read_text())
    assert "mean" in printed and "steps_walked" in printed
    assert "install libegl1" in caplog.text


def test_a_task_without_a_body_has_no_video(launch, capsys):
    launch(max_iterations=1, run_dir="run")
    assert launch(test=True, checkpoint="run", num_envs=1)["video"] is None
    assert launch(test=True, checkpoint="run", num_envs=1)["episodes"] == module.EPISODES
    assert launch(mode="play", checkpoint="run", num_envs=1, video=False)["video"] is None


def test_without_a_checkpoint_it_says_what_to_type(launch):
    with pytest.raises(ConfigError, match="mode=play needs a trained run: type checkpoint="):
        launch(mode="play")


def test_a_film_is_in_its_folder_once_it_is_complete_so_that_a_killed_process_leaves_none_there(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for folder in ("temporary", "run"):
        (tmp_path / folder).mkdir()
    with VideoWriter(tmp_path / "run" / "a.mp4", (64, 64), 30) as writer:
        writer.add(np.zeros((64, 64, 3), np.uint8))
        assert list((tmp_path / "run").iterdir()) == []
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a.mp4"]
    assert list((tmp_path / "temporary").iterdir()) == []
    (tmp_path / "temporary").rmdir()
    with pytest.raises(RenderError, match="could not be started .*video=false"):
        VideoWriter(tmp_path / "run" / "a.mp4", (64, 64), 30)


def test_a_long_film_tells_how_far_it_is(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(record, "TOLD_FRAMES", 2)
    caplog.set_level("INFO")
    with VideoWriter(tmp_path / "a.mp4", (64, 64), 30) as writer:
        for _ in range(5):
            writer.add(np.zeros((64, 64, 3), np.uint8))
    assert [text for text in caplog.messages if "drawn" in text] == ["2 frames drawn", "4 frames drawn"]


def test_a_film_that_breaks_off_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "a.mp4", (64, 64), 30) as writer:
        writer.add(np.zeros((64, 64, 3), np.uint8))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
