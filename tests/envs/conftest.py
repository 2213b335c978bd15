"""Every registered task, built small: tasks that are commanded get a skill with random weights."""

import dataclasses

import pytest

import isaachrl
from isaachrl.envs import registry
from tests.tiny_skill import make_tiny_skill

# what makes every observation vary within few short episodes
OVERRIDES = {
    "HumanoidHRLMaze": {"layout": "random"},
    "HumanoidProgram": {
        "fsm": [{"do": "walk", "for_s": 0.1}, {"do": "jog", "for_s": 0.2}, {"do": "rise", "for_s": 0.2}],
        "always": [],
        "pillar": [0.8, 0.0],
        "options": {name: f"assets/skills/humanoid.pt:{name}" for name in ("walk", "jog")},
    },
    "HumanoidDodge": {"hold_s": [0.1, 0.2]},
    "HumanoidDribble": {"hold_s": [0.1, 0.2]},
}


@pytest.fixture(scope="session")
def skill_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("skill") / "tiny.pt"
    make_tiny_skill().save(path)
    return str(path)


@pytest.fixture(params=["mujoco", pytest.param("mujoco_warp", marks=pytest.mark.slow)])
def engine(request):
    """Both engines; the one for GPUs runs on the CPU here, if it is installed."""
    if request.param == "mujoco_warp":
        pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    return request.param


def builder(skill_file, engine):
    def make(name, num_envs=8, seed=0, episode_steps=20, **changes):
        fields = {field.name for field in dataclasses.fields(registry.entry(name).cfg_type)}
        wanted = {"episode_steps": episode_steps, "skill": skill_file}
        cfg = {key: value for key, value in wanted.items() if key in fields} | OVERRIDES.get(name, {}) | changes
        return isaachrl.make(name, num_envs, sim=engine, device="cpu", seed=seed, cfg={"task": cfg})

    return make


@pytest.fixture
def build(skill_file, engine):
    """`build(name, …)` on each of the engines."""
    return builder(skill_file, engine)


@pytest.fixture
def on_warp(skill_file):
    """`build` on the GPU engine alone."""
    pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    return builder(skill_file, "mujoco_warp")


@pytest.fixture
def on_cpu_engine(skill_file):
    """`build` on the CPU engine alone."""
    return builder(skill_file, "mujoco")
