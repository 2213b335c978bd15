"""Prepares MJCF files for MuJoCo's reader: files for other readers contain what it refuses."""

import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from isaachrl.errors import ConfigError, brief

_DROPPED = ("option", "size", "visual", "statistic", "keyframe", "custom", "sensor", "contact", "extension")
_DROPPED_INSIDE = ("light", "camera")
_MESHES = (".stl", ".obj", ".msh")


def prepare(path: Path, replace_cylinder: bool = False) -> str:
    """The MJCF of a file, with its includes, without what has no counterpart in the API.

    Materials are dropped, since files use undefined ones, and so are options, sensors, user data, contact pairs and
    key frames. Joints and bodies of the same name are numbered. Mesh files get absolute paths; geoms of other formats
    are dropped.

    Raises:
        ConfigError: the file or an included one cannot be read.
    """
    root = parse_xml(path)
    _include(root, path.parent)
    compiler = root.find("compiler")
    settings = dict(compiler.attrib) if compiler is not None else {}
    for tag in _DROPPED:
        for element in root.findall(tag):
            root.remove(element)
    for parent in root.iter():
        for child in [c for c in parent if c.tag in _DROPPED_INSIDE]:
            parent.remove(child)
        for key in ("material", "user"):
            parent.attrib.pop(key, None)
        if replace_cylinder and parent.tag == "geom" and parent.get("type") == "cylinder":
            parent.set("type", "capsule")
    for compiler in root.findall("compiler"):
        for key in ("coordinate", "meshdir", "texturedir", "assetdir", "discardvisual", "strippath"):
            compiler.attrib.pop(key, None)
    _locate_meshes(root, path.parent / settings.get("meshdir", settings.get("assetdir", ".")))
    for tag in ("joint", "body", "geom"):
        _number(root, tag)
    return ET.tostring(root, encoding="unicode")


def parse_xml(path: Path) -> ET.Element:
    """The root of an XML file."""
    try:
        return ET.parse(path).getroot()
    except FileNotFoundError as error:
        raise ConfigError(f"there is no asset file {path}; check asset root and file name") from error
    except ET.ParseError as error:
        raise ConfigError(f"the asset {path} is no valid XML ({brief(error)}); correct that file") from error


def _include(root: ET.Element, folder: Path) -> None:
    """Replace `<include file="…"/>` by the content of these files."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "include":
                part = parse_xml(folder / child.get("file", ""))
                _include(part, folder)
                at = list(parent).index(child)
                parent.remove(child)
                for offset, item in enumerate(list(part)):
                    parent.insert(at + offset, item)


def _locate_meshes(root: ET.Element, folder: Path) -> None:
    """Keep the meshes of known formats as the only assets, and drop geoms of other meshes."""
    known: set[str] = set()
    for asset in root.findall("asset"):
        for item in list(asset):
            name = Path(item.get("file", ""))
            if item.tag != "mesh" or name.suffix.lower() not in _MESHES:
                asset.remove(item)
                continue
            item.set("file", str((folder / name).resolve()))
            item.set("name", item.get("name", name.stem))
            known.add(item.get("name", ""))
    for parent in root.iter():
        for geom in [g for g in parent if g.tag == "geom" and g.get("mesh") is not None]:
            if geom.get("mesh") not in known:
                parent.remove(geom)


def _number(root: ET.Element, tag: str) -> None:
    """Make the names of the elements of a kind in the world unique."""
    seen: Counter[str] = Counter()
    for world in root.findall("worldbody"):
        for element in world.iter(tag):
            name = element.get("name")
            if name is None:
                continue
            if seen[name]:
                element.set("name", f"{name}_{seen[name]}")
            seen[name] += 1
