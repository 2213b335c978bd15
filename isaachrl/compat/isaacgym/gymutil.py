"""Command lines, configurations and drawings of task files."""

import argparse
import xml.etree.ElementTree as ET
from typing import Any

import torch

from isaachrl.compat.isaacgym.enums import SimType, UpAxis
from isaachrl.compat.isaacgym.randomize import (
    apply_random_samples,
    check_buckets,
    generate_random_samples,
    get_default_setter_args,
    get_property_getter_map,
    get_property_setter_map,
)  # fmt: skip
from isaachrl.compat.isaacgym.vectors import Vec3
from isaachrl.errors import ConfigError

__all__ = [
    "AxesGeometry", "LineGeometry", "WireframeBBoxGeometry", "WireframeBoxGeometry", "WireframeSphereGeometry",
    "_indent_xml", "apply_random_samples", "check_buckets", "draw_line", "draw_lines", "generate_random_samples",
    "get_default_setter_args", "get_property_getter_map", "get_property_setter_map", "parse_arguments",
    "parse_bool", "parse_device_str", "parse_sim_config",
]  # fmt: skip


def parse_bool(value: str) -> bool:
    """`yes`, `true`, `t`, `y` and `1` are true."""
    return value.lower() in ("yes", "true", "t", "y", "1")


def parse_device_str(device_str: str) -> tuple[str, int]:
    """`cpu`, `cuda` or `cuda:1` as kind and number.

    Raises:
        ConfigError: it is something else.
    """
    kind, _, number = device_str.lower().partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()) or (kind == "cpu" and number not in ("", "0")):
        raise ConfigError(f"the device {device_str!r} is none of cpu, cuda, cuda:0, cuda:1, …")
    return kind, int(number or 0)


def parse_arguments(
    description: str = "Isaac Gym", headless: bool = False, no_graphics: bool = False,
    custom_parameters: list[dict[str, Any]] = [],  # noqa: B006
) -> argparse.Namespace:  # fmt: skip
    """The command line of a script, with the script's own parameters.

    Devices are the GPU unless there is none.
    """
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=description)
    if headless:
        parser.add_argument("--headless", action="store_true", help="run without a viewer")
    if no_graphics:
        parser.add_argument("--nographics", action="store_true", help="accepted: nothing is drawn")
    parser.add_argument("--sim_device", default="cuda:0" if gpu else "cpu", help="cpu, cuda:0, …")
    parser.add_argument("--pipeline", default="gpu" if gpu else "cpu", help="where tensors are: cpu or gpu")
    parser.add_argument("--graphics_device_id", type=int, default=0, help="accepted: nothing is drawn")
    engines = parser.add_mutually_exclusive_group()
    engines.add_argument("--flex", action="store_true", help="refused")
    engines.add_argument("--physx", action="store_true", help="accepted: MuJoCo simulates")
    for name in ("num_threads", "subscenes"):
        parser.add_argument(f"--{name}", type=int, default=0, help="accepted: all cores are used")
    parser.add_argument("--slices", type=int, help="accepted")
    for given in custom_parameters:
        options = {k: v for k, v in given.items() if k != "name"}
        if options.get("type") is bool and "action" not in options:
            options["type"] = parse_bool
        parser.add_argument(given["name"], **options)
    return _complete(parser.parse_args())


def _complete(args: argparse.Namespace) -> argparse.Namespace:
    """Add what follows from the arguments."""
    args.sim_device_type, args.compute_device_id = parse_device_str(args.sim_device)
    if args.pipeline.lower() not in ("cpu", "gpu", "cuda"):
        raise ConfigError(f"--pipeline={args.pipeline}: type cpu or gpu")
    args.use_gpu = args.sim_device_type == "cuda"
    args.use_gpu_pipeline = args.use_gpu and args.pipeline.lower() != "cpu"
    args.physics_engine = SimType.SIM_FLEX if args.flex else SimType.SIM_PHYSX
    if getattr(args, "nographics", False):
        args.headless = True
    args.slices = args.subscenes if args.slices is None else args.slices
    return args


def parse_sim_config(sim_cfg: dict[str, Any], sim_params: Any) -> None:
    """Write the entries of a configuration into `SimParams`; names that it does not have are left out."""
    for name, value in sim_cfg.items():
        if name in ("physx", "flex"):
            inner = getattr(sim_params, name)
            for key, number in value.items():
                if hasattr(inner, key):
                    setattr(inner, key, type(getattr(inner, key))(number))
        elif name == "gravity":
            sim_params.gravity = Vec3(*(float(x) for x in value))
        elif name == "up_axis":
            named = {"y": UpAxis.UP_AXIS_Y, "z": UpAxis.UP_AXIS_Z}
            sim_params.up_axis = named[value.lower()] if isinstance(value, str) else UpAxis(int(value))
        elif hasattr(sim_params, name):
            setattr(sim_params, name, type(getattr(sim_params, name))(value))


class LineGeometry:
    """Lines that could be drawn; the arguments are accepted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class AxesGeometry(LineGeometry):
    """Three axes."""


class WireframeBoxGeometry(LineGeometry):
    """The edges of a box."""


class WireframeBBoxGeometry(LineGeometry):
    """The edges of a bounding box."""


class WireframeSphereGeometry(LineGeometry):
    """Circles of a ball."""


def draw_lines(geometry: LineGeometry, gym: Any, viewer: Any, env: Any, pose: Any) -> None:
    """Nothing is drawn."""


def draw_line(p1: Any, p2: Any, color: Any, gym: Any, viewer: Any, env: Any) -> None:
    """Nothing is drawn."""


def _indent_xml(element: ET.Element, level: int = 0) -> None:
    """Indent an XML tree in place."""
    ET.indent(element, level=level)
