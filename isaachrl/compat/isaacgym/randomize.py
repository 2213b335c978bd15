"""Domain randomisation by lists of properties, as configurations of IsaacGymEnvs and ASE describe it.

An attribute has `range`, `distribution` (uniform, loguniform, gaussian), `operation` (additive, scaling), and
optionally `schedule` (linear, constant) with `schedule_steps`, and `num_buckets`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from isaachrl.errors import ConfigError


def get_property_setter_map(gym: Any) -> dict[str, Callable]:
    """The setters of kinds of properties."""
    return {
        "dof_properties": gym.set_actor_dof_properties,
        "tendon_properties": gym.set_actor_tendon_properties,
        "rigid_body_properties": gym.set_actor_rigid_body_properties,
        "rigid_shape_properties": gym.set_actor_rigid_shape_properties,
        "sim_params": gym.set_sim_params,
    }


def get_property_getter_map(gym: Any) -> dict[str, Callable]:
    """The getters of kinds of properties."""
    return {
        "dof_properties": gym.get_actor_dof_properties,
        "tendon_properties": gym.get_actor_tendon_properties,
        "rigid_body_properties": gym.get_actor_rigid_body_properties,
        "rigid_shape_properties": gym.get_actor_rigid_shape_properties,
        "sim_params": gym.get_sim_params,
    }


def get_default_setter_args(gym: Any) -> dict[str, list]:
    """Further arguments of the setters: inertias follow the masses."""
    names = ("dof_properties", "tendon_properties", "rigid_shape_properties", "sim_params")
    return {name: [] for name in names} | {"rigid_body_properties": [True]}


def _progress(params: dict, step: int) -> float:
    """How much of the range is in use: 1 without a schedule."""
    kind, steps = params.get("schedule"), max(params.get("schedule_steps", 0), 1)
    if kind == "linear":
        return min(step, steps) / steps
    return float(step >= steps) if kind == "constant" else 1.0


def generate_random_samples(params: dict, shape: Any, step: int, extern_sample: np.ndarray | None = None) -> np.ndarray:
    """Random numbers of an attribute's distribution, scaled towards no change by its schedule.

    Raises:
        ConfigError: an unknown distribution.
    """
    low, high = params["range"]
    kind, part = params["distribution"], _progress(params, step)
    if extern_sample is not None:
        sample = np.asarray(extern_sample, dtype=float)
    elif kind == "gaussian":
        sample = np.random.normal(low, math.sqrt(high), shape)
    elif kind == "uniform":
        sample = np.random.uniform(low, high, shape)
    elif kind == "loguniform":
        sample = np.exp(np.random.uniform(math.log(low), math.log(high), shape))
    else:
        raise ConfigError(f"distribution {kind!r} is none of uniform, loguniform, gaussian")
    neutral = 1.0 if params["operation"] == "scaling" else 0.0
    return sample * part + neutral * (1.0 - part)


def _bucketed(sample: Any, params: dict) -> Any:
    """A sample at the nearest of `num_buckets` values of the range, if there are buckets."""
    buckets = params.get("num_buckets", 0)
    if buckets <= 0 or params["distribution"] == "gaussian":
        return sample
    low, high = params["range"]
    cell = (high - low) / buckets
    return low + np.clip(np.floor((sample - low) / cell), 0, buckets - 1) * cell


def apply_random_samples(
    prop: Any, og_prop: Any, attr: str, attr_randomization_params: dict, curr_gym_step_count: int,
    extern_sample: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Set an attribute to its original value, scaled by or plus a random number.

    Args:
        prop: an array of properties of degrees of freedom, or an object with the attribute.
        og_prop: the original, an array or a dictionary of attributes.
        attr: the attribute.
        attr_randomization_params: its entry in the configuration.
        curr_gym_step_count: physics steps so far, for schedules.
        extern_sample: used in place of a random number.
    """
    params, scaling = attr_randomization_params, attr_randomization_params["operation"] == "scaling"
    if isinstance(prop, np.ndarray):
        sample = generate_random_samples(params, prop[attr].shape, curr_gym_step_count, extern_sample)
        prop[attr] = og_prop[attr] * sample if scaling else og_prop[attr] + sample
        return
    original = og_prop[attr]
    if attr == "gravity":
        sample = generate_random_samples(params, 3, curr_gym_step_count, extern_sample)
        for axis, value in zip("xyz", sample, strict=True):
            before = getattr(original, axis)
            setattr(prop.gravity, axis, float(before * value if scaling else before + value))
        return
    sample = generate_random_samples(params, 1, curr_gym_step_count, extern_sample)
    sample = float(np.ravel(_bucketed(sample, params))[0])
    setattr(prop, attr, original * sample if scaling else original + sample)


def check_buckets(gym: Any, envs: list, dr_params: dict) -> None:
    """MuJoCo has no limit of materials, so any number of buckets fits."""
