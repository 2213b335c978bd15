"""The loop of a training: one iteration after the other, its record, its checkpoints, its orderly end."""

import logging
import math
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from isaachrl.learn import distributed
from isaachrl.learn.learner import Learner
from isaachrl.run.checkpoint import LAST, Checkpoint, random_state, restore_random_state, save_checkpoint
from isaachrl.run.folder import RunFolder
from isaachrl.run.metrics import MetricsFile
from isaachrl.run.progress import Display
from isaachrl.run.report import write_report

log = logging.getLogger(__name__)

CHECKPOINT_EVERY_S = 60.0
SAVING_SHARE, DRAWING_SHARE = 0.03, 0.01  # most of a training's time that goes into checkpoints and into the report
NUMBERED_KEPT = 5
NUMBERED = re.compile(r"\d{8}\.pt")


@dataclass(frozen=True)
class Identity:
    """What a checkpoint says about the run it belongs to: names and the resolved configuration as plain data."""

    task: str
    learner: str
    config: dict[str, Any]


class TrainLoop:
    """Drives a learner to its last iteration.

    Args:
        learner: what learns.
        folder: where the run's files go; None in a process that trains along and leaves them to the first.
        identity: names and configuration for the checkpoints.
        checkpoint_every_s: seconds between two saves.
    """

    def __init__(
        self,
        learner: Learner,
        folder: RunFolder | None,
        identity: Identity,
        checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    ) -> None:
        self.learner, self.folder, self.identity = learner, folder, identity
        self.checkpoint_every_s = checkpoint_every_s
        self.wall_s = 0.0
        self._saved_iteration = self._drawn_iteration = -1
        self._save_s = self._draw_s = 0.0  # what the last ones took
        self._drawn_at = -math.inf
        self._short: set[str] = set()  # of what the physics has had too little since the last save
        self._stop = Stop()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put environment, learner and global random state where the checkpoint left them."""
        number = distributed.rank()
        state = checkpoint.others[number - 1] if number else _own_state(checkpoint)
        self.learner.env.load_state_dict(state["env_state"])
        self.learner.load_state_dict(state["learner_state"])
        restore_random_state(state["random_state"])
        self.wall_s = checkpoint.wall_s

    def run(self) -> bool:
        """Train until `max_iterations`, or until a signal asks for an end; save everything either way.

        Returns:
            Whether the training is complete.

        Raises:
            CheckpointError: a checkpoint could not be written; the one before is intact.
            ConfigError: contacts are left out of the physics, however much room there is; all has been saved.
        """
        learner, folder = self.learner, self.folder
        record: AbstractContextManager[Record | None] = nullcontext()
        if folder is not None:
            record = Record(learner, folder, self.identity.task)
        saved_at, stop = time.monotonic(), False
        with self._stop.watching(), record as written:
            while learner.iteration < learner.max_iterations and not stop:
                self._iterate(written)
                pause = max(self.checkpoint_every_s, self._save_s / SAVING_SHARE)
                stop, save = distributed.anyone(self._stop.asked, time.monotonic() - saved_at >= pause)
                if save:
                    self._make_room_and_save()
                    saved_at = time.monotonic()
            self._save()
            self._draw()
        return learner.iteration >= learner.max_iterations

    def _iterate(self, record: "Record | None") -> None:
        """One iteration and its record."""
        before, start = self.learner.samples, time.monotonic()
        signals = self.learner.iterate()
        short = self.learner.env.check_capacity()
        self._short |= set(short)
        signals |= {f"physics/{name}_overflow": float(count) for name, count in short.items()}
        elapsed = max(time.monotonic() - start, 1e-9)
        self.wall_s += elapsed
        if record is not None:
            record.add(self.learner, self.wall_s, (self.learner.samples - before) / elapsed, signals)

    def _make_room_and_save(self) -> None:
        """Give the physics more room where it was short, and save; if it has no more to give, save before saying so."""
        try:
            self.learner.env.make_room(self._short)
        finally:
            self._short = set()
            self._save()

    def _save(self) -> None:
        """Write the checkpoint, what the learner gives to others, and from time to time the report."""
        if self._saved_iteration == self.learner.iteration:
            return
        start = time.monotonic()
        checkpoint = self._checkpoint()
        self._saved_iteration = self.learner.iteration
        folder = self.folder
        if folder is None:
            return
        save_checkpoint(checkpoint, folder.checkpoints / LAST)
        self._keep_numbered(folder.checkpoints)
        self.learner.save_products(folder.path)
        self._save_s = time.monotonic() - start
        if time.monotonic() - self._drawn_at >= self._draw_s / DRAWING_SHARE:
            self._draw()

    def _draw(self) -> None:
        """Draw the report, unless it shows all there is."""
        if self.folder is None or self._drawn_iteration == self.learner.iteration:
            return
        start = time.monotonic()
        write_report(self.folder.metrics, self.folder.report, self.identity.task)
        self._drawn_iteration, self._drawn_at = self.learner.iteration, time.monotonic()
        self._draw_s = self._drawn_at - start

    def _checkpoint(self) -> Checkpoint:
        """The run as it stands; only ever called between two iterations, and by all processes together."""
        learner = self.learner
        own = {
            "learner_state": learner.state_dict(),
            "env_state": learner.env.state_dict(),
            "random_state": random_state(),
        }
        return Checkpoint(
            task=self.identity.task,
            learner=self.identity.learner,
            config=self.identity.config,
            iteration=learner.iteration,
            samples=learner.samples,
            wall_s=self.wall_s,
            others=distributed.gather(own),
            **own,
        )

    def _keep_numbered(self, folder: Path) -> None:
        """Keep what was just saved under its own name after every fifth of the run, and no more than a few of those."""
        iteration, every = self.learner.iteration, max(self.learner.max_iterations // NUMBERED_KEPT, 1)
        found = sorted(path for path in folder.glob("*.pt") if NUMBERED.fullmatch(path.name))
        kept = [path for path in found if int(path.stem) <= iteration]
        newest = int(kept[-1].stem) if kept else 0
        if iteration // every <= newest // every:
            return
        # those from later on belong to a continuation that was given up
        for path in (*found[len(kept) :], *kept[: max(len(kept) + 1 - NUMBERED_KEPT, 0)]):
            path.unlink(missing_ok=True)
        numbered = folder / f"{iteration:08d}.pt"
        try:
            os.link(folder / LAST, numbered)  # the last one is replaced by renaming, so that this keeps its content
        except OSError:  # a file system without links
            shutil.copyfile(folder / LAST, numbered)


def _own_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint holds of the first process."""
    return {
        "learner_state": checkpoint.learner_state,
        "env_state": checkpoint.env_state,
        "random_state": checkpoint.random_state,
    }


class Record:
    """What is written and shown of every iteration: a line of the metrics file, TensorBoard events, progress.

    Args:
        learner: what learns.
        folder: where the files go.
        title: the task's name.
    """

    def __init__(self, learner: Learner, folder: RunFolder, title: str) -> None:
        remaining = max(learner.max_iterations - learner.iteration, 0) * learner.samples_per_iteration
        self._metrics = MetricsFile(folder.metrics, keep=learner.iteration)
        self._display = Display(title, learner.samples + remaining, learner.samples, learner.HEADLINE)
        self._events = SummaryWriter(str(folder.events), purge_step=learner.samples)

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._display.__exit__(*error)
        self._events.close()

    def add(self, learner: Learner, wall_s: float, rate: float, signals: dict[str, float]) -> None:
        """Take in an iteration: seconds of training so far, samples a second, and the learner's signals."""
        head = {"iteration": learner.iteration, "samples": learner.samples, "wall_s": wall_s}
        self._metrics.append(head | {"perf/samples_per_s": rate} | signals)
        for name, value in (signals | {"perf/samples_per_s": rate}).items():
            self._events.add_scalar(name, value, learner.samples)
        self._display.update(learner.iteration, learner.samples, rate, signals)


class Stop:
    """A wish to stop, raised by Ctrl-C or SIGTERM.

    The first signal lets the iteration under way finish, so that what is saved stands between two iterations;
    a second Ctrl-C interrupts at once, and the last checkpoint is then what remains.
    """

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take the signals over; outside the main thread Python does not allow it, and nothing is done."""
        previous: dict[int, Any] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, self._on_signal)
        except ValueError:
            pass
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Note the wish; the second one is not to be reasoned with."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        log.info("stopping after this iteration; press Ctrl-C again to stop at once, without saving it")
