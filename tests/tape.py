"""A recorder that works on the CPU: it writes the operations of PyTorch down and does them again in the same memory."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isaachrl.sim.cuda_graph import Recorder


class TapeRecorder(Recorder):
    """As with a CUDA graph, a replay runs no Python of the task: what it has bound to names is as it was.

    Unlike a capture, recording computes: so the first replay does nothing. What a tape cannot show: that CUDA would
    refuse to capture an operation, that work waits for the device or goes to another stream, that memory is used again
    while a graph still means it, and how generators stand after a capture that fails.
    """

    def __init__(self, env):
        super().__init__(env.device, env.generator)
        self.replays = 0

    def record(self, work):
        return self._record(work)

    def insert(self, launch):
        super().insert(launch)
        with torch.utils._python_dispatch._disable_current_modes():
            launch()

    def _begin(self):
        self._tape = Tape()
        self._tape.__enter__()

    def _end(self):
        self._tape.__exit__(None, None, None)
        self.launches.append(self._tape.replay)

    def replay(self):
        self.replays += 1
        if self.replays > 1:
            super().replay()


class Tape(TorchDispatchMode):
    """Operations with their arguments and results."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, result))
        return result

    def replay(self):
        for func, args, kwargs, result in self.done:
            new = func(*args, **kwargs)
            for old, value in zip(tree_leaves(result), tree_leaves(new), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != value.data_ptr():
                    # not so for views and for what was done in place; a product's result may have lost an axis since
                    old.copy_(value.view(old.shape))
