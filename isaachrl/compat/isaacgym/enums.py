"""Enumerations of the API; each member is also a name of `gymapi`."""

import string
from enum import Enum, IntEnum, IntFlag


class SimType(IntEnum):
    """Physics engines; only SIM_PHYSX is simulated, by MuJoCo."""

    SIM_PHYSX = 0
    SIM_FLEX = 1


class UpAxis(IntEnum):
    """The vertical axis."""

    UP_AXIS_Y = 0
    UP_AXIS_Z = 1


class DofDriveMode(IntFlag):
    """What a degree of freedom follows."""

    DOF_MODE_NONE = 0
    DOF_MODE_POS = 1
    DOF_MODE_VEL = 2
    DOF_MODE_EFFORT = 3


class DofType(IntEnum):
    """Kinds of degrees of freedom."""

    DOF_INVALID = -1
    DOF_ROTATION = 0
    DOF_TRANSLATION = 1


class JointType(IntEnum):
    """Kinds of joints."""

    JOINT_INVALID = -1
    JOINT_FIXED = 0
    JOINT_REVOLUTE = 1
    JOINT_PRISMATIC = 2
    JOINT_BALL = 3
    JOINT_PLANAR = 4
    JOINT_FLOATING = 5


class CoordinateSpace(IntEnum):
    """Axes that forces are given in."""

    ENV_SPACE = 0
    LOCAL_SPACE = 1
    GLOBAL_SPACE = 2


class IndexDomain(IntEnum):
    """What an index counts in."""

    DOMAIN_ACTOR = 0
    DOMAIN_ENV = 1
    DOMAIN_SIM = 2


class ContactCollection(IntEnum):
    """Which physics steps report contacts; here the last one always does."""

    CC_NEVER = 0
    CC_LAST_SUBSTEP = 1
    CC_ALL_SUBSTEPS = 2


class MeshType(IntFlag):
    """Which meshes are coloured."""

    MESH_NONE = 0
    MESH_COLLISION = 1
    MESH_VISUAL = 2
    MESH_VISUAL_AND_COLLISION = 3


class MeshNormalMode(IntFlag):
    """Where the normals of visual meshes come from."""

    FROM_ASSET = 0
    COMPUTE_PER_VERTEX = 1
    COMPUTE_PER_FACE = 2


class ImageType(IntFlag):
    """Kinds of camera images."""

    IMAGE_COLOR = 0
    IMAGE_DEPTH = 1
    IMAGE_SEGMENTATION = 2
    IMAGE_OPTICAL_FLOW = 3


class CameraFollowMode(IntFlag):
    """How a camera follows a body."""

    FOLLOW_POSITION = 0
    FOLLOW_TRANSFORM = 1


class TendonType(IntEnum):
    """Kinds of tendons."""

    TENDON_FIXED = 0
    TENDON_SPATIAL = 1


class SoftMaterialType(IntEnum):
    """Materials of soft bodies, which are not simulated."""

    MAT_COROTATIONAL = 0
    MAT_NEOHOOKEAN = 1


class TensorDataType(IntEnum):
    """Data types of tensors."""

    DTYPE_FLOAT32 = 0
    DTYPE_UINT32 = 1
    DTYPE_UINT64 = 2
    DTYPE_UINT8 = 3
    DTYPE_INT16 = 4


class UsdMaterialMode(IntEnum):
    """Materials of exported scenes, which are not written."""

    USD_MATERIAL_DISPLAY_COLOR = 0
    USD_MATERIAL_PREVIEW_SURFACE = 1
    USD_MATERIAL_MDL = 2


_NAMED_KEYS = [
    "SPACE",
    "APOSTROPHE",
    "COMMA",
    "MINUS",
    "PERIOD",
    "SLASH",
    "SEMICOLON",
    "EQUAL",
    "LEFT_BRACKET",
    "BACKSLASH",
    "RIGHT_BRACKET",
    "GRAVE_ACCENT",
    "ESCAPE",
    "TAB",
    "ENTER",
    "BACKSPACE",
    "INSERT",
    "DEL",
    "RIGHT",
    "LEFT",
    "DOWN",
    "UP",
    "PAGE_UP",
    "PAGE_DOWN",
    "HOME",
    "END",
    "CAPS_LOCK",
    "SCROLL_LOCK",
    "NUM_LOCK",
    "PRINT_SCREEN",
    "PAUSE",
    "NUMPAD_DIVIDE",
    "NUMPAD_MULTIPLY",
    "NUMPAD_SUBTRACT",
    "NUMPAD_ADD",
    "NUMPAD_DEL",
    "NUMPAD_ENTER",
    "NUMPAD_EQUAL",
    "LEFT_SHIFT",
    "LEFT_CONTROL",
    "LEFT_ALT",
    "LEFT_SUPER",
    "RIGHT_SHIFT",
    "RIGHT_CONTROL",
    "RIGHT_ALT",
    "RIGHT_SUPER",
    "MENU",
]
_COUNTED_KEYS = [f"F{i}" for i in range(1, 13)] + [f"NUMPAD_{i}" for i in range(10)]
_MOUSE = [
    "LEFT_BUTTON",
    "RIGHT_BUTTON",
    "MIDDLE_BUTTON",
    "FORWARD_BUTTON",
    "BACK_BUTTON",
    "SCROLL_RIGHT",
    "SCROLL_LEFT",
    "SCROLL_UP",
    "SCROLL_DOWN",
    "MOVE_RIGHT",
    "MOVE_LEFT",
    "MOVE_UP",
    "MOVE_DOWN",
]
KeyboardInput: type[IntEnum] = IntEnum(  # pyright: ignore[reportAssignmentType]
    "KeyboardInput",
    [f"KEY_{key}" for key in [*_NAMED_KEYS, *string.digits, *string.ascii_uppercase, *_COUNTED_KEYS]],
    start=0,
)
MouseInput: type[IntEnum] = IntEnum(  # pyright: ignore[reportAssignmentType]
    "MouseInput", [f"MOUSE_{name}" for name in _MOUSE], start=0
)

ENUMS: tuple[type[Enum], ...] = (
    SimType, UpAxis, DofDriveMode, DofType, JointType, CoordinateSpace, IndexDomain, ContactCollection, MeshType,
    MeshNormalMode, ImageType, CameraFollowMode, TendonType, SoftMaterialType, TensorDataType, UsdMaterialMode,
    KeyboardInput, MouseInput,
)  # fmt: skip
CONSTANTS = {
    "AXIS_NONE": 0, "AXIS_X": 1, "AXIS_Y": 2, "AXIS_Z": 4, "AXIS_TRANSLATION": 7, "AXIS_TWIST": 8, "AXIS_SWING_1": 16,
    "AXIS_SWING_2": 32, "AXIS_ROTATION": 56, "AXIS_ALL": 63, "DEFAULT_VIEWER_WIDTH": 1600,
    "DEFAULT_VIEWER_HEIGHT": 900, "INVALID_HANDLE": -1, "RIGID_BODY_NONE": 0, "RIGID_BODY_DISABLE_GRAVITY": 1,
    "RIGID_BODY_DISABLE_SIMULATION": 2, "RIGID_BODY_ENABLE_GYROSCOPIC_FORCES": 4, "STATE_NONE": 0, "STATE_POS": 1,
    "STATE_VEL": 2, "STATE_ALL": 3,
}  # fmt: skip
