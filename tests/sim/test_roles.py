import mujoco
import pytest

from isaachrl.errors import ConfigError
from isaachrl.sim.compiler import compile_scene
from isaachrl.sim.roles import NAMES, Roles, find_roles
from isaachrl.sim.scene import Scene

# a robot as they are built: one hinge a body, hips and wrists of several bodies, a waist below the root, no names
SIDE = """
  <body name="{s}1" pos="0 {y} -.1"><joint axis="0 0 1"/><geom size=".03"/>
    <body name="{s}2" pos="0 0 -.03"><joint axis="1 0 0"/><geom size=".03"/>
      <body name="{s}3" pos="0 0 -.02"><joint axis="0 1 0"/><geom type="capsule" size=".04" fromto="0 0 0 0 0 -.35"/>
        <body name="{s}4" pos="0 0 -.35"><joint axis="0 1 0"/><geom type="capsule" size=".04" fromto="0 0 0 0 0 -.35"/>
          <body name="{s}5" pos="0 0 -.35"><joint axis="0 1 0"/><geom size=".02"/>
            <body name="{s}6" pos="0 0 -.02"><joint axis="1 0 0"/><geom type="box" size=".1 .04 .01" pos=".03 0 -.03"/>
              {toe}</body></body></body></body></body></body>"""
TOE = (
    '<body name="{s}7" pos=".12 0 -.02"><joint axis="0 1 0"/><geom type="box" size=".03 .04 .01" pos=".03 0 0"/></body>'
)
ARM = """
  <body name="{s}a" pos="0 {y} .35"><joint axis="0 1 0"/><geom size=".03"/>
    <body name="{s}b" pos="0 {dy} 0"><joint axis="1 0 0"/><geom type="capsule" size=".03" fromto="0 0 0 0 0 -.28"/>
      <body name="{s}c" pos="0 0 -.28"><joint axis="0 1 0"/><geom type="capsule" size=".03" fromto="0 0 0 .15 0 0"/>
        <body name="{s}d" pos=".15 0 0"><joint axis="1 0 0"/><geom type="capsule" size=".03" fromto="0 0 0 .1 0 0"/>
          {hand}</body></body></body></body>"""
HAND = """<body name="{s}e" pos=".12 0 0"><joint axis="0 0 1"/><geom size=".03"/>
  <body name="{s}f" pos=".03 .02 0"><joint axis="0 0 1"/><geom size=".01"/></body>
  <body name="{s}g" pos=".03 -.02 0"><joint axis="0 0 1"/><geom size=".01"/></body></body>"""
NECK = '<body name="n1" pos="0 0 .45"><joint axis="0 0 1"/><geom size=".05" pos="0 0 .1"/></body>'


def roles_of(arm="", toe="", neck=NECK, given=None, turn=""):
    legs = "".join(SIDE.format(s=s, y=y, toe=toe.format(s=s)) for s, y in (("l", 0.1), ("r", -0.1)))
    arms = "".join(arm.replace("{hand}", HAND).format(s=s, y=y, dy=y / 4) for s, y in (("l", 0.2), ("r", -0.2)))
    xml = f"""<mujoco><worldbody><body name="trunk" pos="0 0 1">
      <freejoint/><geom type="box" size=".1 .15 .2" pos="0 0 .2"/>{neck}{arms}
      <body name="waist" {turn}><joint axis="0 0 1"/><geom size=".1"/>{legs}</body></body></worldbody></mujoco>"""
    return read(mujoco.MjModel.from_xml_string(xml), given or {})


def read(model, given):
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    ids = [b for b in range(1, model.nbody) if model.body_rootid[b] == 1]
    return find_roles(model, data, ids, given, "tin")


def test_the_humanoids_roles_are_its_limbs_halves():
    roles = read(compile_scene(Scene("humanoid")), {})
    parts = {
        "hip": "thigh",
        "knee": "shin",
        "foot": "foot",
        "shoulder": "upper_arm",
        "elbow": "lower_arm",
        "hand": "hand",
    }
    expected = {f"{side}_{role}": f"{side}_{part}" for role, part in parts.items() for side in ("left", "right")}
    assert dict(roles) == expected | {name: name for name in ("pelvis", "torso", "head")}
    assert list(roles) == list(NAMES), "all of them, in their order"


def test_roles_are_found_without_names_through_wrists_fingers_and_toes():
    roles = roles_of(ARM, TOE)
    assert (roles["pelvis"], roles["torso"], roles["head"]) == ("waist", "trunk", "n1")
    assert [roles[f"left_{part}"] for part in ("hip", "knee", "foot")] == ["l3", "l4", "l6"]
    assert [roles[f"right_{part}"] for part in ("shoulder", "elbow", "hand")] == ["rb", "rc", "re"]


def test_a_forearm_without_a_hand_has_no_hand_and_legs_alone_no_arms():
    forearm = ARM[: ARM.index('<body name="{s}d"')] + "</body></body></body>"
    roles = roles_of(forearm)
    assert roles["left_elbow"] == "lc" and "left_hand" not in roles
    legs = roles_of(neck="")
    assert set(legs) == {"pelvis", "torso", *(f"{s}_{p}" for s in ("left", "right") for p in ("hip", "knee", "foot"))}


def test_a_given_role_overrules_the_guess_and_an_empty_one_removes_it():
    roles = roles_of(ARM, given={"head": "", "torso": "waist", "left_hand": "lf"})
    assert "head" not in roles and roles["torso"] == "waist" and roles["left_hand"] == "lf"
    assert roles["left_foot"] == "l6"


def test_no_roles_are_guessed_for_four_legs_nor_for_a_robot_that_lies_on_its_side():
    assert not read(compile_scene(Scene("ant")), {})
    assert not roles_of(ARM, turn='euler="90 0 0"')


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"left_toe": "l7"}, r"roles\.left_toe is no role; did you mean"),
        ({"head": "n2"}, r"roles\.head=n2 is no body; did you mean .* n1 or"),
    ],
)
def test_unknown_roles_and_bodies_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        roles_of(ARM, given=given)


def test_a_missing_role_is_asked_for_with_the_line_to_write():
    with pytest.raises(ConfigError, match=r"'roles: \{left_hand: BODY, head: BODY\}'.*its bodies: a, b"):
        Roles({"pelvis": "a"}, "tin", ("a", "b")).require("pelvis", "left_hand", "head")
