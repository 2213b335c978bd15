"""Networks and normalisers."""

from isaachrl.nn.mlp import mlp
from isaachrl.nn.normalizer import RunningNorm
from isaachrl.nn.precision import Precision, Rounding

__all__ = ["Precision", "Rounding", "RunningNorm", "mlp"]
