"""Everything that a run imports, for the process that the runs of the campaign are forked from."""

import contextlib
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")

import hydra  # noqa: E402, F401
import matplotlib.pyplot  # noqa: E402, F401
import torch  # noqa: E402
import torch.utils.tensorboard  # noqa: E402, F401

import tasks  # noqa: E402, F401
from isaachrl.run.config.learners import load_learners  # noqa: E402
from tests.chaos import faults, mutations  # noqa: E402, F401

with contextlib.suppress(ImportError):  # an extra
    import onnxscript  # noqa: F401
    import torch.onnx  # noqa: F401

load_learners()
torch.set_num_threads(1)  # a pool of threads does not survive a fork
