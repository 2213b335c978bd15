"""TensorBoard's copy of a run's signals."""

import contextlib
import logging
import os
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.summary.writer.record_writer import RecordWriter

log = logging.getLogger(__name__)


class Events:
    """Writes an event file, an event an iteration; a disk that refuses it costs these curves alone.

    TensorBoard's own writer works in a thread, where such an error ends in a traceback.

    Args:
        folder: where event files lie; created.
        samples: samples done so far; TensorBoard forgets what earlier files say of later ones.
    """

    def __init__(self, folder: Path, samples: int) -> None:
        self._writer: RecordWriter | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
            self._writer = RecordWriter((folder / name).open("wb"))
        except OSError as error:
            self._give_up(error)
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=samples, file_version="brain.Event:2"))
        self._write(Event(wall_time=time.time(), step=samples, session_log=start))

    def add(self, samples: int, signals: dict[str, float]) -> None:
        """Write the signals of an iteration."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in signals.items()]
        self._write(Event(wall_time=time.time(), step=samples, summary=Summary(value=values)))

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            with contextlib.suppress(OSError):  # what is not on the disk yet
                self._writer.close()
            self._writer = None

    def _write(self, event: Event) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(event.SerializeToString())
            self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Say once what is missing from now on."""
        log.warning("no more TensorBoard events (%s); metrics.jsonl is the whole record", error.strerror or error)
        self.close()
