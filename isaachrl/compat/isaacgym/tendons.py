"""Fixed tendons: springs, dampers and soft limits of weighted sums of joint positions."""

import numpy as np
import torch
from torch import Tensor

from isaachrl.compat.isaacgym.objects import scalar
from isaachrl.compat.isaacgym.structs import TendonProperties
from isaachrl.sim.worlds import Worlds

FIELDS = (
    "stiffness", "damping", "fixed_spring_rest_length", "is_fixed_limited", "limit_stiffness", "fixed_lower_limit",
    "fixed_upper_limit",
)  # fmt: skip
_UNLIMITED = 1e9
_IMPEDANCE = (1e-4, 0.9999)  # what MuJoCo clips it to


def rows(props: list[TendonProperties]) -> np.ndarray:
    """`(T, 7)` numbers of tendons, see `FIELDS`."""
    return np.array([[scalar(getattr(tendon, name)) for name in FIELDS] for tendon in props]).reshape(-1, len(FIELDS))


def upload(worlds: Worlds, tendon: np.ndarray, values: np.ndarray, dt_s: float) -> None:
    """Write tendons into the worlds. Springs, dampers and limits are backward Euler.

    A spring and damper is explicit in MuJoCo: with `h k` more damping and an armature of `h (d + h k)` it is implicit,
    as in `isaachrl.sim.worlds.assemble`. At a limit that is exceeded by r, the implicit spring's force `K (r + h v)`
    at the end of the step is that of a constraint with the reference acceleration `-r/h² - v/h` and the regularisation
    `1/(K h²)`, which MuJoCo computes as `w (1 - i) / i` from the impedance i and the inverse weight w.

    Args:
        worlds: N.
        tendon: `(T,)` of the model.
        values: `(N, T, 7)`, see `FIELDS`.
        dt_s: h, the physics step.
    """
    ids, given = torch.from_numpy(tendon), torch.from_numpy(values)
    k, d, rest, limited, limit_k, lower, upper = given.unbind(-1)
    on = (limited > 0) & (limit_k > 0)
    implicit = d + dt_s * k
    fields = {
        "tendon_stiffness": k,
        "tendon_damping": implicit,
        "tendon_armature": dt_s * implicit,
        "tendon_lengthspring": torch.stack((rest, rest), -1),
        "tendon_range": torch.stack((lower.where(on, -_UNLIMITED), upper.where(on, _UNLIMITED)), -1),
    }
    for name, wanted in fields.items():
        _write(worlds, name, ids, wanted)
    worlds.apply_model_fields()
    weight = worlds.model_field("tendon_invweight0")[:, ids].cpu().double()
    ratio = dt_s**2 * limit_k * weight
    impedance = (ratio / (1.0 + ratio)).clamp(*_IMPEDANCE)
    flat = torch.stack((impedance, impedance, *(torch.full_like(impedance, x) for x in (1e-3, 0.5, 2.0))), -1)
    _write(worlds, "tendon_solimp_lim", ids, flat)
    _write(worlds, "tendon_solref_lim", ids, torch.stack((-impedance / dt_s**2, -impedance / dt_s), -1))


def _write(worlds: Worlds, name: str, ids: Tensor, values: Tensor) -> None:
    """Write rows of a model field of all worlds."""
    target = worlds.model_field(name)
    target[:, ids.to(target.device)] = values.to(target)
