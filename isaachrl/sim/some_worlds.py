"""Some of a simulation's worlds, to be read as if there were no others."""

import torch
from torch import Tensor

from isaachrl.sim.base import Sim


class SomeWorlds:
    """The tensors of a `Sim` with only the chosen worlds in them, each picked out when it is first read.

    Attributes:
        num_envs: n, how many were chosen.
        scene, robot, device: the simulation's.

    Args:
        sim: all worlds.
        rows: `(n,)` numbers of the chosen ones.
    """

    def __init__(self, sim: Sim, rows: Tensor) -> None:
        self._sim, self._rows = sim, rows
        self.num_envs, self.scene, self.robot, self.device = len(rows), sim.scene, sim.robot, sim.device

    def __getattr__(self, name: str) -> Tensor:
        """The tensor `(n, …)` of that name.

        Raises:
            AttributeError: the simulation has none; what else it offers (steps, resets, rays) is for all worlds.
        """
        whole = getattr(self._sim, name)
        if not isinstance(whole, torch.Tensor):
            raise AttributeError(f"{name} is not a tensor of the simulation: some of its worlds can only be read")
        chosen = whole.index_select(0, self._rows)
        setattr(self, name, chosen)
        return chosen
