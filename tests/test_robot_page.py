"""The page on robots: its YAML file is read, and its numbers are those of the code."""

import re
from pathlib import Path

import pytest

from isaachrl.run.commands.robot import kinematics_error_m
from isaachrl.shipped import ASSETS
from isaachrl.sim import load_robot
from isaachrl.sim.motors import ARMATURE_HZ, STIFFNESS_PER_EFFORT
from isaachrl.sim.robot_file import find_robot
from isaachrl.sim.urdf import MESHES
from tasks.common import humanoid

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "robot.md").read_text(encoding="utf-8")


def test_the_example_of_a_yaml_file_is_read(tmp_path):
    (tmp_path / "g1.xml").write_bytes((ASSETS / "g1" / "g1.xml").read_bytes())
    (tmp_path / "myrobot.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    robot, shipped = load_robot(str(tmp_path / "myrobot.yaml")), load_robot("g1")
    assert robot.roles["head"] == "torso_link" and "left_hand" not in robot.roles
    knee = robot.dof_names.index("left_knee_joint")
    assert (robot.stiffness[knee], shipped.stiffness[knee]) == (200.0, 417.0)
    assert robot.stand_qpos[7 + knee] == pytest.approx(0.5)
    assert len(find_robot(str(tmp_path / "myrobot.yaml")).roots) == 1


def test_the_numbers_of_the_page_are_those_of_the_code():
    assert f"motors with {STIFFNESS_PER_EFFORT:g} N m/rad" in PAGE and f"a motor of {ARMATURE_HZ:g} Hz" in PAGE
    assert all(f"`{ending}`" in PAGE for ending in MESHES)
    assert (humanoid.LEAST_REACH, humanoid.MOST_REACH) == (0.25, 0.7)
    assert f"reach a bend of {humanoid.KNEE_RAD:g} rad" in PAGE
    row = re.search(r"\| `humanoid` \| (\d+) \| (\S+) m \| (\d+) of 15 \|", PAGE)
    robot = load_robot("humanoid")
    assert row and (int(row[1]), int(row[3])) == (robot.num_dofs, len(robot.roles))
    assert kinematics_error_m(robot) < 1.5 * float(row[2])


@pytest.mark.parametrize("name", ["g1", "t1"])
def test_shipped_robots_of_others_are_small_and_have_their_licences(name):
    folder = ASSETS / name
    assert (folder / f"{name}.xml").stat().st_size < 60_000
    assert "Copyright" in (folder / "LICENSE").read_text() and (folder / "README.md").is_file()
