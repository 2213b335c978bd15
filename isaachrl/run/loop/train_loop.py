"""The loop of a training: one iteration after the other, its record, its checkpoints, its orderly end."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

from isaachrl.errors import DivergenceError, ProcessError
from isaachrl.learn import collectives, distributed
from isaachrl.learn.learner import Learner
from isaachrl.run.loop.guard import Guard
from isaachrl.run.loop.periodic import Periodic
from isaachrl.run.loop.stop import Stop
from isaachrl.run.recording.events import Events
from isaachrl.run.recording.progress import Display
from isaachrl.run.recording.report import write_report
from isaachrl.run.storage.checkpoint import LAST, Checkpoint, random_state, restore_random_state, save_checkpoint
from isaachrl.run.storage.folder import RunFolder
from isaachrl.run.storage.metrics import MetricsFile
from isaachrl.schema import state_mismatch

# early at first, then rarer: a crash loses no more than half of a training
FIRST_SAVE_S, SAVE_EVERY_S = 5.0, 300.0
DRAW_EVERY_S = 60.0
SAVING_SHARE, DRAWING_SHARE = 0.03, 0.01  # most of a training's time that goes into `last.pt` and into the report
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
        save_every_s: seconds from one `last.pt` to the next, whatever they cost; None goes by their cost.
        stop: tells when to stop.
        clock: seconds since any moment.
    """

    def __init__(
        self,
        learner: Learner,
        folder: RunFolder | None,
        identity: Identity,
        save_every_s: float | None = None,
        stop: Stop | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.learner, self.folder, self.identity = learner, folder, identity
        self.wall_s = 0.0
        self._clock = clock
        self._saving = Periodic(FIRST_SAVE_S, SAVE_EVERY_S, SAVING_SHARE, clock)
        if save_every_s is not None:
            self._saving = Periodic(save_every_s, save_every_s, math.inf, clock)
        self._drawing = Periodic(DRAW_EVERY_S, DRAW_EVERY_S, DRAWING_SHARE, clock)
        self._saved_iteration = self._drawn_iteration = -1
        # iterations since the last save: of each kind of room that was too small, and all of them
        self._short: Counter[str] = Counter()
        self._since_save = 0
        self._stop = stop or Stop()
        self._guard = Guard(learner, folder.checkpoints if folder else None)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put environment, learner and global random state where the checkpoint left them.

        Raises:
            ValueError: what it holds has another layout than what they have. They raise errors of their own, too.
        """
        number = distributed.rank()
        state = checkpoint.others[number - 1] if number else _own_state(checkpoint)
        if wrong := state_mismatch(self._state(), state):
            raise ValueError(wrong)
        self.learner.env.load_state_dict(state["env_state"])
        self.learner.load_state_dict(state["learner_state"])
        restore_random_state(state["random_state"])
        if (self.learner.iteration, self.learner.samples) != (checkpoint.iteration, checkpoint.samples):
            raise ValueError("the counters of the learner are not those of the checkpoint")
        self.wall_s = checkpoint.wall_s

    def run(self) -> bool:
        """Train until `max_iterations`, or until a signal asks for an end; save everything either way.

        Returns:
            Whether the training is complete.

        Raises:
            CheckpointError: a checkpoint could not be written; the one before is intact.
            DivergenceError: what was learned is not finite; it has not been written.
            ProcessError: another process of this training has ended before its time.
            ConfigError: contacts are left out in most iterations, however much room there is; all has been saved.
        """
        learner, folder = self.learner, self.folder
        record: AbstractContextManager[Record | None] = nullcontext()
        if folder is not None:
            record = Record(learner, folder, self.identity.task)
        with self._stop.watching(in_order=True), record as written:
            try:
                self._train(written)
            except DivergenceError:
                self._draw()  # it shows how that came about
                raise
            except RuntimeError as error:
                if not collectives.is_peer_failure(error):
                    raise
                raise ProcessError(self._unfinished()) from error
        done = learner.iteration >= learner.max_iterations
        if done:
            self._stop.number = 0  # it came too late to stop anything
        return done

    def _train(self, record: "Record | None") -> None:
        """All iterations, and what is written between them and at the end."""
        stop = 0
        while self.learner.iteration < self.learner.max_iterations and not stop:
            self._iterate(record)
            self._keep_weights()
            stop, save = collectives.max_over_ranks(self._stop.number, self._saving.due())
            if stop:
                self._stop.number = stop  # another process may have got it
            if save:
                self._make_room_and_save()
            if self._drawing.due():
                self._draw()
        self._save()
        self._draw()

    def _unfinished(self) -> str:
        """What remains after another process has ended."""
        last = self.folder.checkpoints / LAST if self.folder else None
        if last is None:
            return "another process of this training has ended, and this one with it"
        left = "nothing had been saved yet, start it again"
        if last.exists():
            left = f"{last} is intact, start as many processes again with resume={last}"
        return f"another process of this training has ended after iteration {self.learner.iteration}; {left}"

    def _iterate(self, record: "Record | None") -> None:
        """One iteration and its record."""
        before, start = self.learner.samples, self._clock()
        signals = self._guard.iterate()
        short = self.learner.env.check_capacity()
        self._short.update(short.keys())
        self._since_save += 1
        signals |= {f"physics/{name}_overflow": float(count) for name, count in short.items()}
        elapsed = max(self._clock() - start, 1e-9)
        self.wall_s += elapsed
        if record is not None:
            record.add(self.learner, self.wall_s, (self.learner.samples - before) / elapsed, signals)

    def _make_room_and_save(self) -> None:
        """Give the physics more room where it was short, and save; if it has no more to give, save before saying so."""
        try:
            self.learner.env.make_room({name: count / self._since_save for name, count in self._short.items()})
        finally:
            self._short, self._since_save = Counter(), 0
            self._save()

    def _save(self) -> None:
        """All that is done at a save, by all processes together: `last.pt`, and what the learner gives to others.

        Called between two iterations, when a save is due and at the end of the run.
        """
        if self._saved_iteration == self.learner.iteration:
            return
        with self._saving.measured():
            own = self._state()
            self._guard.check(own["learner_state"])
            checkpoint = self._checkpoint(**own, others=collectives.gather(own))
            self._saved_iteration = self.learner.iteration
            if self.folder is not None:
                save_checkpoint(checkpoint, self.folder.checkpoints / LAST)
                self.learner.save_products(self.folder.path)

    def _keep_weights(self) -> None:
        """After each fifth of the run, keep the weights alone under the iteration's number; the newest few stay."""
        iteration, total = self.learner.iteration, self.learner.max_iterations
        if iteration * NUMBERED_KEPT // total == (iteration - 1) * NUMBERED_KEPT // total:
            return
        weights = self.learner.weights()
        self._guard.check(weights)
        if self.folder is None:
            return
        folder = self.folder.checkpoints
        save_checkpoint(self._checkpoint(learner_state=weights, env_state={}), folder / f"{iteration:08d}.pt")
        found = sorted(path for path in folder.glob("*.pt") if NUMBERED.fullmatch(path.name))
        kept = [path for path in found if int(path.stem) <= iteration]
        # those from later on belong to a continuation that was given up
        for path in (*found[len(kept) :], *kept[:-NUMBERED_KEPT]):
            path.unlink(missing_ok=True)

    def _draw(self) -> None:
        """Draw the report, unless it shows all there is."""
        if self.folder is None or self._drawn_iteration == self.learner.iteration:
            return
        with self._drawing.measured():
            write_report(self.folder.metrics, self.folder.report, self.identity.task)
            self._drawn_iteration = self.learner.iteration

    def _state(self) -> dict[str, Any]:
        """What this process alone needs to go on exactly; only ever taken between two iterations."""
        return {
            "learner_state": self.learner.state_dict(),
            "env_state": self.learner.env.state_dict(),
            "random_state": random_state(),
        }

    def _checkpoint(self, **state: Any) -> Checkpoint:
        """The run as it stands, with a state of learner and environment."""
        return Checkpoint(
            task=self.identity.task,
            learner=self.identity.learner,
            config=self.identity.config,
            iteration=self.learner.iteration,
            samples=self.learner.samples,
            wall_s=self.wall_s,
            **state,
        )


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
        self._events = Events(folder.events, learner.samples)

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
        self._events.add(learner.samples, signals | {"perf/samples_per_s": rate})
        self._display.update(learner.iteration, learner.samples, rate, signals)
