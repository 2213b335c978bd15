"""The loop of a training: one iteration after the other, its record, its checkpoints, its orderly end."""

import logging
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from isaachrl.learn import distributed
from isaachrl.learn.learner import Learner
from isaachrl.run.checkpoint import LAST, Checkpoint, random_state, restore_random_state, save_checkpoint
from isaachrl.run.folder import RunFolder
from isaachrl.run.metrics import MetricsFile
from isaachrl.run.periodic import Periodic
from isaachrl.run.progress import Display
from isaachrl.run.report import write_report
from isaachrl.schema import state_mismatch

log = logging.getLogger(__name__)

# the first is early, so that a crash in the first minutes does not lose everything
FIRST_SAVE_S, SAVE_EVERY_S, DRAW_EVERY_S = 60.0, 300.0, 60.0
SAVING_SHARE, DRAWING_SHARE = 0.03, 0.01  # most of a training's time that goes into `last.pt` and into the report
NUMBERED_KEPT = 5
NUMBERED = re.compile(r"\d{8}\.pt")
_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


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
        clock: seconds since any moment.
    """

    def __init__(
        self,
        learner: Learner,
        folder: RunFolder | None,
        identity: Identity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.learner, self.folder, self.identity = learner, folder, identity
        self.wall_s = 0.0
        self._clock = clock
        self._saving = Periodic(FIRST_SAVE_S, SAVE_EVERY_S, SAVING_SHARE, clock)
        self._drawing = Periodic(FIRST_SAVE_S, DRAW_EVERY_S, DRAWING_SHARE, clock)
        self._saved_iteration = self._drawn_iteration = -1
        # iterations since the last save: of each kind of room that was too small, and all of them
        self._short: Counter[str] = Counter()
        self._since_save = 0
        self._stop = Stop()

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
            ConfigError: contacts are left out in most iterations, however much room there is; all has been saved.
        """
        learner, folder = self.learner, self.folder
        record: AbstractContextManager[Record | None] = nullcontext()
        if folder is not None:
            record = Record(learner, folder, self.identity.task)
        stop = False
        with self._stop.watching(), record as written:
            while learner.iteration < learner.max_iterations and not stop:
                self._iterate(written)
                self._keep_weights()
                stop, save = distributed.anyone(self._stop.asked, self._saving.due())
                if save:
                    self._make_room_and_save()
                if self._drawing.due():
                    self._draw()
            self._save()
            self._draw()
        return learner.iteration >= learner.max_iterations

    def _iterate(self, record: "Record | None") -> None:
        """One iteration and its record."""
        before, start = self.learner.samples, self._clock()
        signals = self.learner.iterate()
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
            checkpoint = self._checkpoint(**own, others=distributed.gather(own))
            self._saved_iteration = self.learner.iteration
            if self.folder is not None:
                save_checkpoint(checkpoint, self.folder.checkpoints / LAST)
                self.learner.save_products(self.folder.path)

    def _keep_weights(self) -> None:
        """After each fifth of the run, keep the weights alone under the iteration's number; the newest few stay."""
        iteration, total = self.learner.iteration, self.learner.max_iterations
        if self.folder is None or iteration * NUMBERED_KEPT // total == (iteration - 1) * NUMBERED_KEPT // total:
            return
        folder = self.folder.checkpoints
        save_checkpoint(
            self._checkpoint(learner_state=self.learner.weights(), env_state={}), folder / f"{iteration:08d}.pt"
        )
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
    """A wish to stop, raised by Ctrl-C, SIGTERM or, when the terminal closes, SIGHUP.

    The first signal lets the iteration under way finish, so that what is saved stands between two iterations;
    a second Ctrl-C interrupts at once, and the last checkpoint is then what remains. A closing terminal may send
    SIGHUP more than once, which does not interrupt.
    """

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take the signals over; outside the main thread Python does not allow it, and nothing is done."""
        previous: dict[int, Any] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM, _HANGUP):
                if number is None or (number == _HANGUP and signal.getsignal(number) == signal.SIG_IGN):
                    continue  # under nohup a training outlives its terminal
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
            if number != _HANGUP:
                raise KeyboardInterrupt
            return
        self.asked = True
        log.info("stopping after this iteration; press Ctrl-C again to stop at once, without saving it")
