"""Isaac Gym tasks as environments: episodes of the four kinds of tasks, bad input, commands, state, viewers."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

import isaachrl
from isaachrl.compat import bridge_files
from isaachrl.errors import CheckpointError, ConfigError
from isaachrl.isaacgym import register_task
from isaachrl.run import dispatch
from isaachrl.run.config import cli, settings
from isaachrl.run.rollout import RandomPolicy
from isaachrl.view.session import Session
from tests.envs.test_no_sync import HostWaits

POLES = Path(__file__).with_name("bridge_poles.py")
KINDS = ("Deferred", "Agents", "AtOnce", "ByHand")
LIMIT = 12
YAML = """
name: Poles
physics_engine: ${..physics_engine}
env: {numEnvs: "${resolve_default:4096,${...num_envs}}", folder: %s, effort: 20.0}
sim: {dt: 0.02, substeps: 1, up_axis: z, use_gpu_pipeline: '${eq:${...pipeline},"gpu"}', gravity: [0.0, 0.0, -9.81]}
"""


@pytest.fixture
def configured(tmp_path):
    """The values of the task section, by the kind of task."""
    (tmp_path / "poles.yaml").write_text(YAML % tmp_path)

    def configured(kind, **values):
        own = {"set": {"env": {"folder": str(tmp_path)}}} if kind == "AtOnce" else {}
        return (own or {"cfg": str(tmp_path / "poles.yaml")}) | values

    return configured


@pytest.fixture
def make(configured):
    def make(kind, num_envs=4, **values):
        name = register_task(f"{POLES}:{kind}")
        return isaachrl.make(name, num_envs, device="cpu", cfg={"task": configured(kind, **values)})

    return make


def still(env):
    return torch.zeros(env.num_envs, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_episode_is_terminated_truncated_and_begun_anew(make, kind):
    env = make(kind)
    assert (env.obs_sizes, env.action_size, env.episode_steps) == ({"obs": 4}, 1, LIMIT)
    assert env.step_s == pytest.approx(0.04 if kind == "AtOnce" else 0.02)
    before, rows = env.reset()["obs"], []
    for _ in range(40):
        result = env.step(still(env))
        rows.append((result, before))
        before = result.obs["obs"]
    done = torch.stack([result.done for result, _ in rows])
    # environment 0 stands upright until its time is over; 2 and 3 fall sooner the more they lean
    assert not any(result.terminated[0] for result, _ in rows) and not any(r.truncated[3] for r, _ in rows)
    assert done[:, 3].sum() > done[:, 2].sum() >= done[:, 0].sum() >= 2
    for env_id in (0, 3):
        at = int(done[:, env_id].nonzero()[0])
        result, last = rows[at]
        assert bool(result.truncated[env_id]) is (env_id == 0)
        after = result if kind != "Deferred" else rows[at + 1][0]  # which shows the end for one step
        start_rad = 0.07 * env_id
        assert after.obs["obs"][env_id, 2].item() == pytest.approx(start_rad, abs=1e-6)
        ended = result.terminal_obs["obs"][env_id]
        if env_id == 3:
            assert result.reward[3] < 0.75  # of the end, in all cases
            assert torch.equal(ended, last[3]) if kind == "AtOnce" else ended[2].abs() > 0.25
    between = int(done[:, 0].nonzero()[1] - done[:, 0].nonzero()[0])
    assert between == LIMIT + (kind == "Deferred")


def test_numbers_among_the_extras_are_metrics(make):
    env = make("AtOnce")
    env.reset()
    for _ in range(LIMIT):
        result = env.step(still(env))
    assert result.metrics["level"].tolist() == [3.0] * 4 and result.metrics["rew_tilt"].shape == (4,)


@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_action_ends_its_episode_alone(make, kind):
    env = make(kind)
    env.reset()
    action = still(env)
    action[1] = float("nan")
    result = env.step(action)
    assert result.metrics["diverged"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert result.terminated.tolist() == [False, True, False, False] and result.reward[1] == 0.0
    assert all(torch.isfinite(env.step(still(env)).obs["obs"]).all() for _ in range(3))
    counter = env._counter()
    assert counter is None or counter[1] < counter[0]


def test_actions_are_clamped_and_scaled(make):
    ends = []
    for action, scale in ((0.5, 1.0), (1.0, 0.5), (9.0, 0.5)):
        env = make("Deferred", action_scale=scale)
        env.reset()
        for _ in range(3):
            result = env.step(torch.full((4, 1), action))
        ends.append(result.obs["obs"])
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[1], ends[2]) and ends[0][0, 0] > 0.01


def test_the_bridge_waits_for_no_device(make):
    env = make("Deferred")
    task, done = env.isaac_task, torch.tensor([0, 1, 0, 0])
    returned = ({"obs": torch.zeros(4, 4)}, task.rew_buf, task.reset_buf, task.extras)
    task.extras.update(mean=torch.tensor(2.0), level=1.0)
    task.step = lambda actions: task.reset_buf.copy_(done) is None or returned
    action = still(env)
    with HostWaits() as waits:
        result = env.step(action)
    assert not waits.found and result.done.tolist() == done.bool().tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_state_goes_on_alike(make, kind):
    first, second = make(kind), make(kind)
    first.reset(), second.reset()
    action = torch.linspace(-0.3, 0.3, 4).unsqueeze(1)
    for _ in range(5):
        first.step(action)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.observe()["obs"], second.observe()["obs"])
    for _ in range(2 * LIMIT):
        a, b = first.step(action), second.step(action)
        assert torch.allclose(a.obs["obs"], b.obs["obs"], atol=1e-4) and torch.equal(a.done, b.done)
    assert torch.allclose(first.isaac_task.sums["tilt"], second.isaac_task.sums["tilt"], atol=1e-3)
    with pytest.raises(CheckpointError, match="qpos"):
        make(kind, 3).load_state_dict(first.state_dict())


def test_a_changed_configuration_wins_over_a_loaded_number(make):
    first, same, other = make("Deferred"), make("Deferred"), make("Deferred", set={"env": {"effort": 30.0}})
    first.isaac_task.effort = 25.0  # the task's own curriculum
    for env in (same, other):
        env.load_state_dict(first.state_dict())
    assert same.isaac_task.effort == 25.0 and other.isaac_task.effort == 30.0
    old = {key: value for key, value in first.state_dict().items() if key != "constructed"}
    other.load_state_dict(old)
    assert other.isaac_task.effort == 25.0


@pytest.mark.parametrize("kind", ["Deferred", "AtOnce"])
def test_a_key_with_a_plus_is_added_to_the_configuration(make, kind):
    poles = f"task=isaacgym:{POLES}:{kind}"
    typed = ["+task.set.env.wind.speed=2", "++task.set.env.cold=1", "task.set.env.effort=3"]
    added = ["++task.add.env.wind.speed=2", "++task.add.env.cold=1", "task.set.env.effort=3"]
    assert cli.register_isaac_gym([poles, *typed]) == [f"task=isaacgym.{kind}", *added]
    task = make(kind, add={"env": {"wind": {"speed": 2}, "cold": 1, "effort": 3.0}}).isaac_task
    env = task.cfg["env"] if kind == "Deferred" else vars(task.cfg.env)
    assert task.effort == 3.0 and env["cold"] == 1 and env["wind"] == {"speed": 2}


def test_episodes_can_be_staggered(make):
    env = make("AtOnce", 64)
    env.reset()
    env.stagger(torch.Generator().manual_seed(0), 2)
    counts = env.isaac_task.episode_length_buf
    assert set(counts.tolist()) == {0, 2, 4, 6, 8, 10}


def test_a_task_is_trained_continued_evaluated_played_and_exported(configured, monkeypatch, tmp_path):
    """A run knows the class by its name alone: no file that is loaded says what is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("isaachrl.run.loop.train_loop.write_report", lambda *_: None)
    words = [f"task=isaacgym:{POLES}:Deferred", "num_envs=4"]
    assert cli.register_isaac_gym(words) == ["task=isaacgym.Deferred", "num_envs=4"]
    train = {"name": "ppo", "horizon": 4, "hidden": [8], "minibatch": 8}
    task = {"name": "isaacgym.Deferred"} | configured("Deferred")

    def run(**typed):
        values = {"num_envs": 4, "device": "cpu", "task": task, "train": train} | typed
        return dispatch.dispatch(settings.resolve(values, values))

    run(max_iterations=1, run_dir="run")
    run(max_iterations=3, resume="run")
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3]
    assert run(mode="evaluate", checkpoint="run", episodes=8)["length_mean"] <= LIMIT + 1
    assert run(mode="play", checkpoint="run", video=False)["episodes"] == 3
    monkeypatch.setattr("isaachrl.run.commands.export.export_network", lambda network, folder: {})
    run(mode="export", checkpoint="run")
    isaachrl.envs.registry._ENTRIES.pop("isaacgym.Deferred")
    with pytest.raises(ConfigError, match=r"type task=isaacgym:PATH\.py:Deferred, too"):
        isaachrl.load("run")


def test_a_viewer_pushes_it_and_a_film_shows_it(make, tmp_path):
    env = make("AtOnce", 2)
    session = Session(env, RandomPolicy(env, 0))
    session.speed = 1e9
    session.choice = torch.zeros(1)
    session.step()
    session.push(50.0, 0.0)
    session.step()
    assert env.sim.force_w.abs().sum() > 0
    for _ in range(5):
        session.step()
    assert env.sim.force_w.abs().sum() == 0 and session.time_s == pytest.approx(7 * 0.04)
    assert env.sim.qpos.shape == (2, 2) and env.sim.root_pos_w[0, 2] == 1.0


def test_a_camera_shows_the_bodies_of_a_model(make):
    from isaachrl.sim import Scene
    from isaachrl.sim.cameras import ChaseCamera, View, model_camera
    from isaachrl.sim.compiler import compile_scene

    view = model_camera(make("AtOnce").sim.scene)
    assert isinstance(view, View) and view.lookat_w.tolist() == pytest.approx([0.0, 0.0, 1.0], abs=0.01)
    assert isinstance(model_camera(compile_scene(Scene())), ChaseCamera)


def test_files_below_its_defaults(tmp_path):
    (tmp_path / "Base.yaml").write_text("env: {numEnvs: 1, a: 1}\nb: ${..seed}\n")
    (tmp_path / "Own.yaml").write_text("defaults: [Base, _self_]\nenv: {a: 2}\n")
    read = bridge_files.read_configuration(object, str(tmp_path / "Own.yaml"), {}, {"seed": 7})
    assert read == {"env": {"numEnvs": 1, "a": 2}, "b": 7}


def test_the_configuration_beside_the_tasks_is_found(tmp_path, monkeypatch):
    folder = tmp_path / "envs" / "tasks"
    folder.mkdir(parents=True)
    (tmp_path / "envs" / "cfg" / "task").mkdir(parents=True)
    (tmp_path / "envs" / "cfg" / "task" / "Beside.yaml").write_text(YAML % tmp_path)
    for package in (folder, folder.parent):
        (package / "__init__.py").write_text("")
    text = (
        POLES.read_text()
        .replace("class Deferred(", "class Beside(")
        .replace("class Agents(Deferred)", "class A(Beside)")
    )
    (folder / "beside.py").write_text(text)
    name = register_task(f"{folder / 'beside.py'}:Beside")
    env = isaachrl.make(name, 2, device="cpu")
    assert type(env.isaac_task).__module__ == "envs.tasks.beside" and env.num_envs == 2
    for module in ("envs", "envs.tasks", "envs.tasks.beside"):
        del sys.modules[module]


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("isaacgym.Cartpole", "isaacgym:PATH.py:Cartpole"),
        ("isaacgym", "isaacgym:PATH.py:Class"),
        ("isaacgym:", "isaacgym:PATH.py:Class"),
        ("isaacgym:Cartpole", "isaacgym:PATH.py:Cartpole"),
        ("isaacgym:a/cartpole.py", "isaacgym:a/cartpole.py:Class"),
        ("isaacgym:a/cartpole.py:", "isaacgym:a/cartpole.py:Class"),
        ("isaacgym.cartpole.py:Cartpole", "isaacgym:cartpole.py:Cartpole"),
        ("IsaacGym:cartpole.py:Cartpole", "isaacgym:cartpole.py:Cartpole"),
        ("isaacgymenvs/tasks/cartpole.py:Cartpole", "isaacgym:isaacgymenvs/tasks/cartpole.py:Cartpole"),
        ("isaacgym:cartpole.yaml:Cartpole", "isaacgym:PATH.py:Cartpole"),
    ],
)
def test_a_task_without_its_file_or_class_is_answered_with_the_form(typed, form):
    for key in ("task", "+task"):
        with pytest.raises(
            ConfigError, match=f"^task={re.escape(typed)} does not name .*; type task={re.escape(form)}$"
        ):
            cli.register_isaac_gym(["mode=train", f"{key}={typed}"])


def test_several_classes_are_several_runs():
    both = f"task=isaacgym:{POLES}:Deferred,isaacgym:{POLES}:Agents"
    names = "task=isaacgym.Deferred,isaacgym.Agents"
    assert cli.register_isaac_gym([both, "--multirun"]) == [names, "--multirun"]
    assert cli.register_isaac_gym([names]) == [names]  # a module of `tasks=` may register them
    with pytest.raises(ConfigError, match="several values are several runs; type --multirun task=isaacgym:"):
        cli.register_isaac_gym([both])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("poles.py", r"'poles.py' is not a file with a class; type task=isaacgym:PATH.py:Class"),
        ("{folder}/bridge_pole.py:Deferred", r"there is no file .*bridge_pole.py; did you mean bridge_poles.py"),
        ("{poles}:Defered", r"bridge_poles.py has no class 'Defered'; did you mean Deferred"),
        ("{poles}:NoTask", r"NoTask is no Isaac Gym task: it has no a method step and no cfg in its constructor"),
        ("{poles}:OtherWorld", r"OtherWorld is no Isaac Gym task: it is constructed with planet, too"),
        ("{tmp}/broken.py:A", r"importing .*broken.py failed: ZeroDivisionError: .*broken.py, line 1"),
        ("{tmp}/json.py:A", r"a module json is imported already, from .*; give .*json.py another name"),
    ],
)
def test_bad_files_are_refused(source, message, tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "json.py").write_text("class A: pass")
    with pytest.raises(ConfigError, match=message):
        register_task(source.format(folder=POLES.parent, poles=POLES, tmp=tmp_path))


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("Deferred", {"cfg": None}, r"the configuration of Deferred is missing: type task.cfg=PATH.yaml"),
        ("Deferred", {"cfg": "{tmp}/none.yaml"}, r"task.cfg=.*none.yaml cannot be read"),
        ("Deferred", {"cfg": "{tmp}/empty.yaml"}, r"empty.yaml has no env.numEnvs, so it is no task's configuration"),
        ("Deferred", {"cfg": "{tmp}/list.yaml"}, r"list.yaml cannot be read: it holds no keys"),
        ("Deferred", {"cfg": "{tmp}/bad.yaml"}, r"bad.yaml is no YAML"),
        ("Deferred", {"cfg": "{tmp}/x.py:Cfg"}, r"type task.cfg=.*x.py:Cfg again: no file that is loaded decides"),
        ("Deferred", {"set": {"env": 3}}, r"task.set.env=3: env is a section; type task.set.env.KEY=VALUE"),
        ("AtOnce", {"set": {"env": {"efort": 3}}}, r"task.set.env.efort=3: the configuration has no efort; did you"),
        (
            "Deferred",
            {"set": {"env": {"efort": 3}}},
            r"no efort; did you mean effort.*; type \+ before task.set.env.efort",
        ),
        ("Deferred", {"set": {"evn": {"effort": 3}}}, r"task.set.evn={'effort': 3}: the configuration has no evn; did"),
        ("Deferred", {"add": {"env": 3}}, r"\+task.set.env=3: env is a section; type \+task.set.env.KEY=VALUE"),
        (
            "Deferred",
            {"set": {"env": {"folder": "/nowhere"}}},
            r"Deferred cannot be built: FileNotFoundError.*poles.py",
        ),
        ("Deferred", {"efort": 3}, r"unknown key task.efort"),
    ],
)
def test_bad_configurations_are_refused(make, kind, values, message, tmp_path):
    (tmp_path / "empty.yaml").write_text("env: {a: 1}")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    (tmp_path / "bad.yaml").write_text("env: {a: [")
    values = {key: v.format(tmp=tmp_path) if isinstance(v, str) else v for key, v in values.items()}
    with pytest.raises(ConfigError, match=message):
        make(kind, **values)
