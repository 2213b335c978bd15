"""The rollout buffer, and the replay buffer of the discriminator."""

import torch
from torch import Tensor

from isaachrl.memory import require_memory


class Rollout:
    """Rollout buffer: T steps of N environments, allocated once.

    Args:
        horizon, num_envs: T and N.
        fields: trailing shape of each field by name; booleans are stored as `torch.bool` where `flags` says so.
        flags: names of the boolean fields.
    """

    def __init__(
        self,
        horizon: int,
        num_envs: int,
        fields: dict[str, tuple[int, ...]],
        flags: tuple[str, ...],
        device: torch.device,
    ) -> None:
        self.horizon, self.num_envs = horizon, num_envs
        self._data = {
            name: torch.zeros(horizon, num_envs, *shape, dtype=torch.bool if name in flags else None, device=device)
            for name, shape in fields.items()
        }

    def __getitem__(self, name: str) -> Tensor:
        """A field `(T, N, …)`."""
        return self._data[name]

    def put(self, step: int, **values: Tensor) -> None:
        """Write fields of one step."""
        for name, value in values.items():
            self._data[name][step].copy_(value)

    def rows(self) -> dict[str, Tensor]:
        """Every field with time and environments as one axis `(T * N, …)`."""
        return {name: data.flatten(0, 1) for name, data in self._data.items()}


class Replay:
    """Replay buffer: windows with their latents; a share of each rollout replaces the oldest rows.

    Args:
        size: number of rows.
        keep: share of a rollout that is stored once the buffer is full.
    """

    def __init__(self, size: int, window: int, latent: int, keep: float, device: torch.device) -> None:
        what = f"train.discriminator.replay_size={size}: a replay of so many windows"
        require_memory(4 * size * (window + latent), device, what, "type train.discriminator.replay_size=100000")
        self.window = torch.zeros(size, window, device=device)
        self.latent = torch.zeros(size, latent, device=device)
        self.filled, self._keep, self._next = 0, keep, 0

    def add(self, window: Tensor, latent: Tensor, generator: torch.Generator) -> None:
        """Store rows `(n, …)`: all of them until the buffer is full, then the kept share, over the oldest rows."""
        size, n = len(self.window), len(window)
        count = min(size, n if self.filled < size else max(1, int(n * self._keep)))
        chosen = torch.randperm(n, generator=generator, device=window.device)[:count]
        index = (self._next + torch.arange(count, device=window.device)) % size
        self.window[index], self.latent[index] = window[chosen], latent[chosen]
        self._next = (self._next + count) % size
        self.filled = min(size, self.filled + count)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`n` random rows: windows and latents."""
        row = torch.randint(self.filled, (n,), generator=generator, device=self.window.device)
        return self.window.index_select(0, row), self.latent.index_select(0, row)

    def state_dict(self) -> dict[str, Tensor | int]:
        """Contents and position."""
        used = slice(0, self.filled)
        return {"window": self.window[used].clone(), "latent": self.latent[used].clone(), "next": self._next}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Continue from `state_dict`."""
        window, latent, position = state["window"], state["latent"], state["next"]
        assert isinstance(window, Tensor) and isinstance(latent, Tensor) and isinstance(position, int)
        self.filled, self._next = len(window), position
        self.window[: self.filled], self.latent[: self.filled] = window, latent
