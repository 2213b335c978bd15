"""Runs sections one after the other, each in a process group with a time limit."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu.predictions import predicted
from gpu.report import read, short

MIN_S = 3.0  # with less time left, a section is not started
LOG_TAIL_BYTES = 2000


@dataclass(frozen=True)
class Job:
    """A section to run.

    Args:
        name: its name.
        limit_s: time limit.
        command: of its process; the path of the report is appended to the last word.
        gate: whether the others are skipped if it fails (not after a timeout).
    """

    name: str
    limit_s: float
    command: Sequence[str]
    gate: bool = False


class Runner:
    """Runs sections and appends a line of JSON for each to a file.

    Args:
        out: the results file.
        budget_s: time limit of all sections.
        common: entries of every line, such as the device.
    """

    def __init__(self, out: Path, budget_s: float, common: dict[str, Any]) -> None:
        self.out, self.log, self.common = out, out.with_suffix(".log"), common
        self._end = time.monotonic() + budget_s

    def run(self, jobs: Sequence[Job]) -> bool:
        """Run all sections; returns whether all are ok."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        good, no_go = True, ""
        for job in jobs:
            line = _skipped(job, no_go) | self.common if no_go else self._one(job)
            no_go = no_go or (f"{job.name} failed" if job.gate and line["status"] == "failed" else "")
            with self.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
            print(json.dumps(line), flush=True)
            note = f"{job.name:>12}  {line['status']:<8} {line['seconds']:6.1f} s  {line['error'] or ''}"
            print(note, file=sys.stderr, flush=True)
            good = good and line["status"] == "ok"
        return good

    def _one(self, job: Job) -> dict[str, Any]:
        """The line of one section."""
        limit_s = min(job.limit_s, self._end - time.monotonic())
        if limit_s < MIN_S and job.limit_s > limit_s:
            return _skipped(job, "budget_s is used up") | self.common
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "figures.jsonl"
            start, cpu_before = time.monotonic(), _cpu_s()
            code, tail = self._wait([*job.command[:-1], job.command[-1] + str(report)], limit_s)
            seconds, cpu_s = time.monotonic() - start, _cpu_s() - cpu_before
            figures, errors = read(report)
        if code is None:
            errors.append(f"ended after its limit of {limit_s:.0f} s")
        elif code < 0:
            errors.append(f"the process died by {signal.Signals(-code).name}")
        elif code and not errors:
            errors.append(tail or f"the process ended with code {code}")
        status = "timeout" if code is None else "failed" if code or errors else "ok"
        head = {"section": job.name, "status": status, "seconds": round(seconds, 1), "cpu_seconds": round(cpu_s, 1)}
        beside = {name: {"value": value, "predicted": predicted(job.name, name)} for name, value in figures.items()}
        error = short("; ".join(errors)) or None
        return head | {"limit_s": job.limit_s} | self.common | {"error": error, "figures": beside}

    def _wait(self, command: Sequence[str], limit_s: float) -> tuple[int | None, str]:
        """The exit code of a command, None after a timeout, and the last line of its output."""
        with self.log.open("ab") as log:
            before = log.tell()
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            try:
                code = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end_group(process)
        with self.log.open("rb") as log:
            log.seek(max(before, self.log.stat().st_size - LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        return code, next((line.strip() for line in reversed(lines) if line.strip()), "")


def _skipped(job: Job, reason: str) -> dict[str, Any]:
    """The line of a section that is not started."""
    line = {"section": job.name, "status": "skipped", "seconds": 0.0, "cpu_seconds": 0.0}
    return line | {"error": reason, "figures": {}}


def _cpu_s() -> float:
    """CPU time of ended child processes, seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group of a process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
