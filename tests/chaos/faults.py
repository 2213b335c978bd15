"""Faults that are planted in a process before it runs `train.py`, and what makes rare moments frequent."""

import errno
import functools
import math
import os
import time
from pathlib import Path

import torch

from isaachrl.run import dispatch as commands
from isaachrl.run.commands import train


def slow_flush(gate: Path):
    """The flush of a checkpoint lasts until there is a file `gate`, or a signal comes that ends it."""
    fsync = os.fsync

    def patched(file):
        if ".last.pt." in os.readlink(f"/proc/self/fd/{file}"):
            while not gate.exists():
                time.sleep(0.002)
        fsync(file)

    os.fsync = patched


def events_on_a_full_disk():
    """TensorBoard's files, and they alone, meet a full disk from the second record on."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    written = []

    def write(self, data):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(data)

    RecordWriter.write = write


def touch_at_start(mark: Path):
    """Create a file when a command begins, before anything is built."""
    run = commands.run

    def patched(*args):
        mark.touch()
        return run(*args)

    commands.run = patched


def touch_at_step(mark: Path):
    """Create a file once environments step in evaluation and play."""
    from isaachrl.run import rollout

    step = rollout._step

    def patched(*args):
        mark.touch()
        return step(*args)

    rollout._step = patched


def _each_step(change):
    """Call `change(env, action, count)` before every step of a training's environment; it returns the action."""
    build = train.build_env

    def patched(*args):
        env = build(*args)
        advance, count = env.advance, [0]

        @functools.wraps(advance)
        def changed(action):
            count[0] += 1
            return advance(change(env, action, count[0]))

        env.advance = changed
        return env

    train.build_env = patched


def _innermost(env):
    while hasattr(env, "inner"):
        env = env.inner
    return env


def spoil_state(field: str, value: float):
    """Every 7th step one world's `qpos` or `qvel` becomes this, after it moved."""

    def change(env, action, count):
        if count % 7 == 0:
            _innermost(env).sim.worlds._arrays[field][0] = value
        return action

    _each_step(change)


def spoil_actions(value: float = math.nan):
    """Every 7th step one world's action becomes this."""

    def change(env, action, count):
        if count % 7 == 0:
            action = action.clone()
            action[1] = torch.as_tensor(value).to(action.dtype)
        return action

    _each_step(change)
