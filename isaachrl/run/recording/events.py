"""TensorBoard events of a run."""

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
    """Writes an event file, with an event for each iteration; if the disk is full it stops with a warning.

    TensorBoard's own writer runs in a thread, where such an error ends in a traceback.

    Args:
        folder: of event files; created if it does not exist.
        samples: number of samples so far; TensorBoard drops later events of earlier files.
    """

    def __init__(self, folder: Path, samples: int) -> None:
        self._writer: RecordWriter | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
            self._writer = RecordWriter((folder / name).open("wb"))
        except OSError as error:
            self._disable(error)
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
            with contextlib.suppress(OSError):  # flushing buffered events may fail
                self._writer.close()
            self._writer = None

    def _write(self, event: Event) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(event.SerializeToString())
            self._writer.flush()
        except OSError as error:
            self._disable(error)

    def _disable(self, error: OSError) -> None:
        """Log a warning and close the file."""
        log.warning("no more TensorBoard events (%s); metrics.jsonl is the whole record", error.strerror or error)
        self.close()
