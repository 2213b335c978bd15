"""Reads a URDF as MuJoCo needs it: meshes found, a free root, collision shapes alone."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import mujoco

from isaachrl.errors import ConfigError, brief
from isaachrl.sim.robot_file import RobotFile

MESHES = (".stl", ".obj", ".msh")  # that MuJoCo reads
_PACKAGE = "package://"
_COMPILER = {"strippath": "false", "fusestatic": "false", "discardvisual": "false"}


def read_urdf(file: RobotFile) -> mujoco.MjSpec:
    """The spec of a URDF, with a free joint at its root.

    Its shapes for looks are left out: they are often of formats that MuJoCo does not read. A `package://NAME/…` is
    looked up in the folders above the file, and in `file.roots`.

    Raises:
        ConfigError: the file is no URDF, or meshes are missing or of another format.
        ValueError: MuJoCo refuses it.
    """
    try:
        tree = ElementTree.fromstring(file.model.read_bytes())
    except ElementTree.ParseError as error:
        raise ConfigError(f"robot {file.name!r}: {file.model} is no XML: {brief(error)}") from error
    if tree.tag != "robot":
        raise ConfigError(f"robot {file.name!r}: {file.model} is no URDF: its root is <{tree.tag}>, not <robot>")
    for link in tree.iter("link"):
        for visual in link.findall("visual"):
            link.remove(visual)
    meshes = list(tree.iter("mesh"))
    paths = {mesh.get("filename", ""): _find(mesh.get("filename", ""), file) for mesh in meshes}
    _check(paths, file)
    for mesh in meshes:
        mesh.set("filename", str(paths[mesh.get("filename", "")]))
    extension = tree.find("mujoco")
    extension = ElementTree.SubElement(tree, "mujoco") if extension is None else extension
    compiler = extension.find("compiler")
    compiler = ElementTree.SubElement(extension, "compiler") if compiler is None else compiler
    compiler.attrib.pop("meshdir", None)
    compiler.attrib.update(_COMPILER)
    spec = mujoco.MjSpec.from_string(ElementTree.tostring(tree, encoding="unicode"))
    root = spec.worldbody.first_body()
    if root is not None and not root.joints:
        root.add_freejoint(name="root" if all(joint.name != "root" for joint in spec.joints) else "free_root")
    return spec


def _find(name: str, file: RobotFile) -> Path | None:
    """The file of a mesh; None if there is none."""
    folder = file.model.parent
    if name.startswith(_PACKAGE):
        inside = name.removeprefix(_PACKAGE).lstrip("/")
        package, _, rest = inside.partition("/")
        candidates = [base / inside for base in (*folder.parents, folder, *file.roots)]
        candidates += [root / rest for root in file.roots if root.name == package]
    else:
        candidates = [base / name.removeprefix("file://") for base in (folder, *file.roots)]
    return next((path for path in candidates if path.is_file()), None)


def _check(paths: dict[str, Path | None], file: RobotFile) -> None:
    """Check that all meshes are there, in formats that MuJoCo reads."""
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise ConfigError(
            f"robot {file.name!r}: {len(missing)} of {len(paths)} meshes are missing, such as {missing[0]}; put them"
            f" where {file.model} looks for them, or write a YAML file with the lines 'model: {file.model.name}' and"
            " 'roots: [FOLDER]', where FOLDER holds the folder of the package"
        )
    foreign = [name for name, path in paths.items() if path is not None and path.suffix.lower() not in MESHES]
    if foreign:
        raise ConfigError(
            f"robot {file.name!r}: MuJoCo does not read the collision mesh {foreign[0]}; convert it to"
            f" {' or '.join(MESHES)}"
        )
