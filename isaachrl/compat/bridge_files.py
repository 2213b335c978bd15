"""Classes of Isaac Gym tasks in files of other repositories, and their configurations."""

import importlib
import inspect
import re
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isaachrl.compat.install import install
from isaachrl.config import merge
from isaachrl.envs.discovery import failure
from isaachrl.errors import ConfigError, brief, nearest

CLASS = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")
HOW = "type task=isaacgym:PATH.py:Class"
_RESOLVERS = {  # of IsaacGymEnvs' configurations
    "eq": lambda x, y: str(x).lower() == str(y).lower(),
    "contains": lambda x, y: str(x).lower() in str(y).lower(),
    "if": lambda condition, a, b: a if condition else b,
    "resolve_default": lambda default, given: default if given == "" else given,
}


def load_class(text: str, how: str = HOW) -> type:
    """The class that `PATH.py:Class` names. Its module is imported, with `isaacgym` being this project's.

    Raises:
        ConfigError: another text, no such file or class, or importing it fails.
    """
    match = CLASS.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is not a file with a class; {how}")
    path = Path(match["file"]).expanduser().resolve()
    if not path.is_file():
        beside = [other.name for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ConfigError(f"there is no file {path}{nearest(path.name, beside) if beside else ''}")
    module = _import(path)
    found = getattr(module, match["name"], None)
    if not isinstance(found, type):
        classes = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
        listed = nearest(match["name"], classes) if classes else "; it has no class"
        raise ConfigError(f"{path} has no class {match['name']!r}{listed}")
    return found


def _import(path: Path) -> ModuleType:
    """Import a file as the module that it is in its package."""
    install()
    packages = [folder for folder in path.parents if (folder / "__init__.py").is_file()]
    root = packages[-1].parent if packages else path.parent
    # ASE's files name their packages from the folder of the script, which is a package itself
    for folder in (*packages[-1:], root):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder)) if folder == root else sys.path.append(str(folder))
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    try:
        module = importlib.import_module(name)
    except Exception as error:  # foreign code fails in any way
        raise ConfigError(f"importing {path} failed: {failure(error)}") from error
    if Path(module.__file__ or "") != path:
        raise ConfigError(f"a module {name} is imported already, from {module.__file__}; give {path} another name")
    return module


def read_configuration(task: type, source: str | None, classes: Mapping[str, type], devices: Mapping[str, Any]) -> Any:
    """The task's own configuration: a dict of a YAML file, or an object of a class.

    Args:
        task: the class of the task.
        source: `PATH.yaml`, or `PATH.py:Class` of `classes`. None takes IsaacGymEnvs' file `cfg/task/<class>.yaml`
            beside `tasks`, or the class that the constructor's `cfg` is annotated with.
        classes: those that the user named, by that text.
        devices: values that IsaacGymEnvs' files refer to.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    if source is None:
        file = Path(inspect.getfile(task)).parents[1] / "cfg" / "task" / f"{task.__name__}.yaml"
        if file.is_file():
            return _read_yaml(file, devices)
        annotated = _annotation(task)
        if annotated is None:
            raise ConfigError(
                f"the configuration of {task.__name__} is missing: type task.cfg=PATH.yaml, or task.cfg=PATH.py:Class"
            )
        return annotated()
    if CLASS.fullmatch(source):
        if source not in classes:
            raise ConfigError(f"type task.cfg={source} again: no file that is loaded decides what is imported")
        return classes[source]()
    return _read_yaml(Path(source).expanduser(), devices)


def _annotation(task: type) -> type | None:
    """The class that the parameter `cfg` of a constructor is annotated with; None without one."""
    try:
        found = typing.get_type_hints(task.__init__).get("cfg")
    except Exception:  # an annotation may name anything
        return None
    return found if isinstance(found, type) and found is not dict else None


def _read_yaml(file: Path, devices: Mapping[str, Any]) -> dict[str, Any]:
    """A file as nested plain values, with interpolations in it resolved as in IsaacGymEnvs' command line."""
    missing = [name for name in _RESOLVERS if not OmegaConf.has_resolver(name)]
    for name in missing:
        OmegaConf.register_new_resolver(name, _RESOLVERS[name])
    try:
        whole = OmegaConf.create({**devices, "task": _with_defaults(file)})
        return typing.cast(dict[str, Any], OmegaConf.to_container(whole.task, resolve=True))
    except (OmegaConfBaseException, OSError, ValueError) as error:
        raise ConfigError(f"task.cfg={file} cannot be read: {brief(error)}") from error
    except Exception as error:  # PyYAML's
        raise ConfigError(f"task.cfg={file} is no YAML: {brief(error)}") from error
    finally:
        for name in missing:  # the package registers its own when it is imported
            OmegaConf.clear_resolver(name)


def _with_defaults(file: Path) -> dict[str, Any]:
    """The values of a file over those of the files beside it that its `defaults` name."""
    values = OmegaConf.to_container(OmegaConf.load(file))
    if not isinstance(values, dict):
        raise ValueError("it holds no keys")
    result: dict[str, Any] = {}
    for name in values.pop("defaults", None) or ():
        if not isinstance(name, str):
            raise ValueError(f"defaults has {name!r}, and only names of files beside it are read")
        if name != "_self_":
            result = merge(result, _with_defaults(file.with_name(f"{name}.yaml")))
    return merge(result, {str(key): value for key, value in values.items()})


def change(configuration: Any, values: Mapping[str, Any], path: str = "task.set", new: bool = False) -> None:
    """Set values of a configuration in place.

    Args:
        configuration: a dict, or an object with attributes.
        values: by key, nested.
        path: of the configuration, for messages.
        new: whether it may lack a key.

    Raises:
        ConfigError: it lacks a key, or a section gets a value.
    """
    for key, value in values.items():
        full, is_dict = f"{path}.{key}", isinstance(configuration, dict)
        names = map(str, configuration) if is_dict else (name for name in dir(configuration) if name[0] != "_")
        known = key in configuration if is_dict else hasattr(configuration, key)
        if not known and not new:
            raise ConfigError(
                f"{full}={brief(value)}: the configuration has no {key}{nearest(str(key), names)}; type + before"
                f" {full} if the task reads it all the same"
            )
        old = configuration.get(key) if is_dict else getattr(configuration, key, None)
        section = isinstance(old, dict) or hasattr(old, "__dict__")
        if isinstance(value, Mapping) and section:
            change(old, value, full, new)
        elif section:
            raise ConfigError(f"{full}={value}: {key} is a section; type {full}.KEY=VALUE")
        elif is_dict:
            configuration[key] = value
        else:
            setattr(configuration, key, value)


def plain(configuration: Any) -> Any:
    """An object's attributes as nested dicts."""
    if isinstance(configuration, Mapping):
        return {key: plain(value) for key, value in configuration.items()}
    if not hasattr(configuration, "__dict__"):
        return configuration
    return {name: plain(getattr(configuration, name)) for name in dir(configuration) if not name.startswith("_")}
