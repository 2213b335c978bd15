"""The training loop: iterations, metrics, checkpoints, and a graceful end."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

from isaachrl.errors import DivergenceError, ProcessError
from isaachrl.hierarchy.rescue import skill_digest
from isaachrl.learn import collectives, distributed
from isaachrl.learn.learner import Learner
from isaachrl.run.loop.guard import Guard
from isaachrl.run.loop.periodic import Periodic
from isaachrl.run.loop.stop import Stop
from isaachrl.run.recording.events import Events
from isaachrl.run.recording.progress import Display
from isaachrl.run.recording.report import write_report
from isaachrl.run.recording.tracking import Tracker
from isaachrl.run.storage.checkpoint import LAST, Checkpoint, random_state, restore_random_state, save_checkpoint
from isaachrl.run.storage.folder import RunFolder
from isaachrl.run.storage.metrics import MetricsFile
from isaachrl.schema import state_mismatch

# the interval between saves doubles from FIRST_SAVE_S up to SAVE_EVERY_S: while it still doubles, a crash loses little
# more than half of the training so far
FIRST_SAVE_S, SAVE_EVERY_S = 5.0, 300.0
DRAW_EVERY_S = 60.0
SAVING_SHARE, DRAWING_SHARE = 0.03, 0.01  # maximum shares of the time for `last.pt` and for the report
NUMBERED_KEPT = 5
NUMBERED = re.compile(r"\d{8}\.pt")


@dataclass(frozen=True)
class Identity:
    """What a checkpoint stores about its run: names and the resolved configuration as plain data."""

    task: str
    learner: str
    config: dict[str, Any]


class TrainLoop:
    """Runs a learner's iterations.

    Args:
        learner: the learner.
        folder: of the run's files; None on ranks other than 0, which write none.
        identity: names and configuration for the checkpoints.
        save_every_s: seconds between saves of `last.pt`; None adapts to the time that a save takes.
        stop: request to stop.
        clock: seconds since an arbitrary moment.
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
        self._skill = skill_digest(learner.env)
        self._clock = clock
        self._saving = Periodic(FIRST_SAVE_S, SAVE_EVERY_S, SAVING_SHARE, clock)
        if save_every_s is not None:
            self._saving = Periodic(save_every_s, save_every_s, math.inf, clock)
        self._drawing = Periodic(DRAW_EVERY_S, DRAW_EVERY_S, DRAWING_SHARE, clock)
        self._saved_iteration = self._drawn_iteration = -1
        self._iterations = 0  # since the last save
        self._overflows: Counter[str] = (
            Counter()
        )  # by physics buffer: iterations since the last save in which it was too small
        self._stop = stop or Stop()
        # runs the iterations, and raises if weights are not finite
        self._guard = Guard(learner, folder.checkpoints if folder else None)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore environment, learner and global random state from a checkpoint.

        Raises:
            ValueError: its layout does not fit environment or learner, which may also raise other errors.
        """
        rank = distributed.rank()
        state = checkpoint.others[rank - 1] if rank else _first_rank_state(checkpoint)
        if mismatch := state_mismatch(self._state(), state):
            raise ValueError(mismatch)
        self.learner.env.load_state_dict(state["env_state"])
        self.learner.load_state_dict(state["learner_state"])
        restore_random_state(state["random_state"])
        if (self.learner.iteration, self.learner.samples) != (checkpoint.iteration, checkpoint.samples):
            raise ValueError("the counters of the learner are not those of the checkpoint")
        self.wall_s = checkpoint.wall_s

    def run(self) -> bool:
        """Train until `max_iterations` or a request to stop; save in either case.

        Returns:
            Whether the training is complete.

        Raises:
            CheckpointError: a checkpoint could not be written; the previous one is intact.
            DivergenceError: weights are not finite; they have not been written.
            ProcessError: another process of this training has ended prematurely.
            ConfigError: even the largest buffers are too small in most iterations, so that the physics omits contacts;
                all has been saved.
        """
        learner, folder = self.learner, self.folder
        record: AbstractContextManager[Record | None] = nullcontext()
        if folder is not None:
            record = Record(learner, folder, self.identity)
        with self._stop.watching(graceful=True), record as open_record:
            try:
                self._train(open_record)
            except DivergenceError:
                self._draw()  # shows the divergence
                raise
            except RuntimeError as error:
                if not collectives.is_peer_failure(error):
                    raise
                raise ProcessError(self._peer_failure_message()) from error
        done = learner.iteration >= learner.max_iterations
        if done:
            self._stop.signal_number = 0  # a request in the last iteration has cut nothing short
        return done

    def _train(self, record: "Record | None") -> None:
        """Run all iterations, and write files between them and at the end."""
        stop = 0
        while self.learner.iteration < self.learner.max_iterations and not stop:
            self._iterate(record)
            self._keep_weights()
            stop, save = collectives.max_over_ranks(self._stop.signal_number, self._saving.due())
            if stop:
                self._stop.signal_number = stop  # another rank may have received the operating system's signal
            if save:
                self._grow_buffers_and_save()
            if self._drawing.due():
                self._draw()
        self._save()
        self._draw()

    def _peer_failure_message(self) -> str:
        """The message after another process has ended."""
        if self.folder is None:
            return "another process of this training has ended, and this one with it"
        last = self.folder.checkpoints / LAST
        advice = "nothing had been saved yet, start it again"
        if last.exists():
            advice = f"{last} is intact, start as many processes again with resume={last}"
        return f"another process of this training has ended after iteration {self.learner.iteration}; {advice}"

    def _iterate(self, record: "Record | None") -> None:
        """Run and record one iteration."""
        samples_before, start = self.learner.samples, self._clock()
        signals = self._guard.iterate()
        overflows = self.learner.env.check_capacity()
        self._overflows.update(overflows.keys())
        self._iterations += 1
        signals |= {f"physics/{name}_overflow": float(count) for name, count in overflows.items()}
        elapsed = max(self._clock() - start, 1e-9)
        self.wall_s += elapsed
        if record is not None:
            record.add(self.learner, self.wall_s, (self.learner.samples - samples_before) / elapsed, signals)

    def _grow_buffers_and_save(self) -> None:
        """Enlarge buffers of the physics that were too small, and save; save also if they cannot grow further."""
        try:
            self.learner.env.make_room({name: count / self._iterations for name, count in self._overflows.items()})
        finally:
            self._overflows, self._iterations = Counter(), 0
            self._save()

    def _save(self) -> None:
        """Save `last.pt` and the learner's products, on all ranks together, unless this iteration is saved."""
        if self._saved_iteration == self.learner.iteration:
            return
        with self._saving.measured():
            state = self._state()
            self._guard.check(state["learner_state"])
            checkpoint = self._checkpoint(**state, others=collectives.gather(state))
            self._saved_iteration = self.learner.iteration
            if self.folder is not None:
                save_checkpoint(checkpoint, self.folder.checkpoints / LAST)
                self.learner.save_products(self.folder.path)

    def _keep_weights(self) -> None:
        """After each fifth of the run, save only the weights as `<iteration>.pt`, and delete all but the newest few."""
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
        # files of later iterations were left by the run before it was resumed from an earlier checkpoint: delete them
        for path in (*found[len(kept) :], *kept[:-NUMBERED_KEPT]):
            path.unlink(missing_ok=True)

    def _draw(self) -> None:
        """Draw the report, unless it is up to date."""
        if self.folder is None or self._drawn_iteration == self.learner.iteration:
            return
        with self._drawing.measured():
            write_report(self.folder.metrics, self.folder.report, self.identity.task)
            self._drawn_iteration = self.learner.iteration

    def _state(self) -> dict[str, Any]:
        """This rank's state for an exact continuation; call it between two iterations."""
        return {
            "learner_state": self.learner.state_dict(),
            "env_state": self.learner.env.state_dict(),
            "random_state": random_state(),
        }

    def _checkpoint(self, **state: Any) -> Checkpoint:
        """A checkpoint of the run with the given states."""
        return Checkpoint(
            task=self.identity.task,
            learner=self.identity.learner,
            config=self.identity.config,
            iteration=self.learner.iteration,
            samples=self.learner.samples,
            wall_s=self.wall_s,
            skill=self._skill,
            actions=self.learner.env.action_contract,
            **state,
        )


def _first_rank_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """The state of rank 0 in a checkpoint."""
    return {
        "learner_state": checkpoint.learner_state,
        "env_state": checkpoint.env_state,
        "random_state": checkpoint.random_state,
    }


class Record:
    """The output of each iteration: a line of the metrics file, TensorBoard events, progress, a tracking library.

    Args:
        learner: the learner.
        folder: of the files.
        identity: of the run.
    """

    def __init__(self, learner: Learner, folder: RunFolder, identity: Identity) -> None:
        remaining = max(learner.max_iterations - learner.iteration, 0) * learner.samples_per_iteration
        self._metrics = MetricsFile(folder.metrics, keep=learner.iteration)
        self._display = Display(identity.task, learner.samples + remaining, learner.samples, learner.HEADLINE)
        self._events = Events(folder.events, learner.samples)
        library = identity.config.get("track", "none")
        self._tracker = None if library == "none" else Tracker(library, folder, identity.config)

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._display.__exit__(*error)
        self._events.close()
        if self._tracker is not None:
            self._tracker.__exit__(*error)

    def add(self, learner: Learner, wall_s: float, rate: float, signals: dict[str, float]) -> None:
        """Write an iteration: seconds of training so far, samples per second, and the learner's signals."""
        head = {"iteration": learner.iteration, "samples": learner.samples, "wall_s": wall_s}
        self._metrics.append(head | {"perf/samples_per_s": rate} | signals)
        for recorder in (self._events, *([] if self._tracker is None else [self._tracker])):
            recorder.add(learner.samples, signals | {"perf/samples_per_s": rate})
        self._display.update(learner.iteration, learner.samples, rate, signals)
