"""Networks and normalisers."""

from isaachrl.nn.mlp import mlp
from isaachrl.nn.normalizer import RunningNorm

__all__ = ["RunningNorm", "mlp"]
