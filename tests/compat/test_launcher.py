"""The launcher as a process: missing modules, Hydra's errors, and messages that reach the standard error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import isaachrl.isaacgym
from isaachrl.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
MUTED = """import sys, logging.config
from isaacgym import gymapi, gymtorch
logging.config.dictConfig({"version": 1, "root": {"level": "ERROR"}, "disable_existing_loggers": True})
import torch
from tests.compat.scenes import GYM, fill, new_sim, options, transform
scene = new_sim(dt=0.02)
fill(scene, [(GYM.create_sphere(scene.sim, 0.1, options()), transform(z=1.0), None, 0)]).prepare()
root = scene.wrap("actor_root_state")
for _ in range(10):
    scene.step()
root[0, 7] = float("nan")
GYM.set_actor_root_state_tensor(scene.sim, gymtorch.unwrap_tensor(root))
for _ in range(150):
    scene.step()
"""
HYDRA = """import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    %s
main()
"""


@pytest.fixture
def script(tmp_path):
    """Writes a script of a repository with a package `mine`."""
    scripts = tmp_path / "repository" / "mine" / "scripts"
    scripts.mkdir(parents=True)
    (scripts.parent / "__init__.py").write_text("")

    def script(text):
        (scripts / "go.py").write_text(text)
        return str(scripts / "go.py")

    return script


@pytest.fixture
def launch(script, tmp_path):
    """The launcher in a process of its own."""

    def launch(text, *arguments, options=()):
        words = [sys.executable, "-m", "isaachrl.isaacgym", *options, script(text), *arguments]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        env.pop("HYDRA_FULL_ERROR", None)
        return subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=120)

    return launch


@pytest.fixture
def fails(script, tmp_path, monkeypatch):
    """The error of a script that the launcher runs in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as `start` sets it

    def fails(text, *arguments, kind=ConfigError):
        with pytest.raises(kind) as caught:
            isaachrl.isaacgym.main([script(text), *arguments])
        return str(caught.value)

    return fails


def test_a_missing_module_is_one_message(launch, tmp_path):
    repository = tmp_path / "repository"
    done = launch(HYDRA % "import mine.tasks", "hydra.run.dir=.")
    place = (
        f"{repository}/mine/scripts/go.py needs the module mine (imported by {repository}/mine/scripts/go.py, line 4)"
    )
    what = f"which is in {repository}; type PYTHONPATH={repository} before the command"
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == f"error: {place}, {what}"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("mine.tasks", "{0}; type pip install --no-deps -e {0}, or PYTHONPATH={0} before the command"),
        ("nowhere_to_be_found.a", "needs the module nowhere_to_be_found (imported by "),
        ("nowhere_to_be_found", "type pip install nowhere_to_be_found, or for a repository at PATH pip install --no-d"),
        ("torch.nowhere", 'does not have; type pip install "torch==VERSION" with the version that the script needs'),
        ("isaacgym.gymnowhere", "isaacgym has these here: gymapi, gymtorch, "),
        ("ray.tune", "ray.tune (imported by {0}/mine/scripts/go.py, line 1), which is not installed; type pip inst"),
    ],
)
def test_what_to_type_depends_on_what_is_missing(fails, tmp_path, module, message):
    (tmp_path / "repository" / "setup.py").write_text("")
    assert message.format(tmp_path / "repository") in fails(f"import {module}")


def test_other_errors_of_a_script_are_its_own(fails):
    assert fails("import isaachrl.nowhere", kind=ModuleNotFoundError) == "No module named 'isaachrl.nowhere'"
    fails("try:\n    import nowhere\nexcept ImportError:\n    1 / 0", kind=ZeroDivisionError)


def test_errors_of_hydra_and_of_the_api_are_one_line(fails):
    message = fails(HYDRA % "print(cfg)", "hydra.run.dir=.", "length=3")
    assert "\n" not in message and "go.py: Could not override 'length'. To append to your config use" in message
    text = "from isaacgym import gymutil; gymutil.parse_device_str('tpu')"
    assert "tpu" in fails(HYDRA % text, "hydra.run.dir=.")


def test_messages_reach_the_standard_error_of_a_script_that_disables_loggers(launch, tmp_path):
    film = tmp_path / "a.mp4"
    done = launch(MUTED, options=[f"--film={film}", "--film-seconds=0.1"])
    assert done.returncode == 0, done.stderr
    assert f"isaachrl: {film}: 3 frames of environment 0\n" in done.stderr and film.is_file()
    assert "isaachrl: 1 worlds diverged and were put back to their start; num_diverged counts them\n" in done.stderr
    done = launch(MUTED.split("import torch")[0], options=[f"--film={film}"])
    assert done.stderr == f"isaachrl: no film {film}: the script has not simulated 0 s\n"
