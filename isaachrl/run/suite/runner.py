"""The work of a suite: `train.py` in processes, a few at once; what is finished is not repeated."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol

import yaml

from isaachrl.errors import ConfigError, IsaacHRLError, brief, nearest
from isaachrl.files import write_atomically
from isaachrl.run.storage.checkpoint import LAST
from isaachrl.run.storage.folder import CONFIG
from isaachrl.run.storage.metrics import read_metrics
from isaachrl.run.suite.plan import Plan, TaskEntry, control_steps_per_decision
from isaachrl.shipped import COMMAND

log = logging.getLogger("isaachrl.run.suite")

RESULT = "result.json"  # of a run: its arguments and, once it is evaluated, its result
LOG = "log.txt"
RANDOM = "random"
STILLS = "play.jpg"

# a process that Ctrl-C does not reach, and the signal that ends it gracefully
if sys.platform == "win32":
    APART: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    STOP = signal.CTRL_BREAK_EVENT
else:
    APART, STOP = {"start_new_session": True}, signal.SIGTERM

Result = dict[str, Any]
Step = Callable[[], None]


class Call(Protocol):
    """Runs `train.py`."""

    def __call__(self, arguments: Sequence[str], folder: Path, /) -> str:
        """Run it with these arguments, logging into a folder; returns its standard output.

        Raises:
            IsaacHRLError: it failed.
        """
        ...


class TrainPy:
    """Runs `train.py` in processes that `stop` ends.

    Args:
        threads: of PyTorch in each process; None leaves it to PyTorch.
    """

    def __init__(self, threads: int | None) -> None:
        self._env = dict(os.environ)
        if threads is not None:
            self._env.setdefault("OMP_NUM_THREADS", str(threads))
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __call__(self, arguments: Sequence[str], folder: Path, /) -> str:
        """See `Call`."""
        command = [*COMMAND, *arguments]
        with (folder / LOG).open("a", encoding="utf-8") as errors:
            with self._lock:
                if self._stopped:
                    raise IsaacHRLError("the suite was stopped")
                process = subprocess.Popen(  # Ctrl-C reaches the suite alone, which passes it on
                    command, stdout=subprocess.PIPE, stderr=errors, text=True, env=self._env, **APART
                )
                self._running.add(process)
            output, _ = process.communicate()
        with self._lock:
            self._running.discard(process)
        if process.returncode and self._stopped:
            raise IsaacHRLError("it was stopped; the same command continues it")
        if process.returncode:
            *_, last = ["", *(folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()]
            said = f"{brief(last, 500)}; see {folder / LOG}"
            raise IsaacHRLError(f"train.py {' '.join(arguments)} ended with code {process.returncode}: {said}")
        return output

    def stop(self) -> None:
        """End all processes, trainings after their present iteration, and start no more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.send_signal(STOP)


def run(plan: Plan, call: Call, publish: Callable[[], object]) -> dict[str, str]:
    """Do everything that is missing.

    Args:
        plan: of the suite.
        call: runs `train.py`; called from several threads.
        publish: called after each finished part, one call at a time.

    Returns:
        Messages of the parts that failed, by `task/run`.

    Raises:
        IsaacHRLError: the skill could not be trained.
    """
    failures: dict[str, str] = {}
    lock = threading.Lock()

    def work(task: str, parts: Mapping[str, Step]) -> None:
        for name, step in parts.items():
            try:
                step()
            except IsaacHRLError as error:
                failures[f"{task}/{name}"] = str(error)
                log.warning("%s/%s failed: %s", task, name, error)
                return
            with lock:
                publish()

    with ThreadPoolExecutor(plan.parallel) as pool:
        try:
            _train_skill(plan, call)
            for phase in _phases(plan, call):
                futures = [pool.submit(work, task, parts) for task, parts in phase]
                for future in as_completed(futures):
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(call, TrainPy):
                call.stop()
            raise
    return failures


def _phases(plan: Plan, call: Call) -> Iterator[list[tuple[str, dict[str, Step]]]]:
    """The parts by task and name: each task's first seed, its stills and random commands; other seeds; flat PPO."""

    def run_step(task: str, name: str) -> Step:
        return lambda: finish(plan, task, name, call)

    seeds = [[(task, f"seed{seed}") for task in plan.tasks] for seed in range(plan.seeds)]
    flat = [(task, f"flat{n}") for task in plan.tasks for n in range(min(plan.entries[task].flat, plan.seeds))]
    jobs = [(task, {name: run_step(task, name)}) for names in seeds for task, name in names]
    for task, parts in jobs[: len(plan.tasks)]:
        parts |= {RANDOM: run_step(task, RANDOM), "stills": lambda task=task: make_stills(plan, task, call)}
    yield jobs
    yield [(task, {name: run_step(task, name)}) for task, name in flat]  # they read the configuration of the first


def finish(plan: Plan, task: str, name: str, call: Call) -> None:
    """Train or resume a run and evaluate it, unless that is done.

    Raises:
        IsaacHRLError: a command failed, the run was made with other settings, or a metric is missing.
    """
    folder, arguments = plan.folder(task, name), plan.arguments(task, name)
    if stored_result(plan, task, name) is not None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"arguments": arguments, "episodes": plan.episodes}
    _write(folder, content)
    evaluation = ["mode=evaluate", f"episodes={plan.episodes}", *plan.device]
    if name == RANDOM:
        printed = call([*arguments, *evaluation, "policy=random", f"run_dir={folder}"], folder)
    else:
        _train(folder, arguments, plan, call)
        printed = call([*evaluation, f"checkpoint={folder}"], folder)
    result = measured(task, plan.entries[task], json.loads(printed.splitlines()[-1]))
    if name != RANDOM:
        result |= effort(folder)
    _write(folder, content | {"result": result})
    log.info("%s/%s: score %.0f of %g, falls %.3f", task, name, *(result[key] for key in ("score", "of", "fall_rate")))


def _train_skill(plan: Plan, call: Call) -> None:
    """Train what leads to the skill of all tasks, unless that is done.

    Raises:
        IsaacHRLError: a training failed, or was made with other settings.
    """
    for name, arguments in plan.skill_runs.items():
        folder = plan.out / "runs" / name
        made = json.loads((folder / RESULT).read_text(encoding="utf-8")) if (folder / RESULT).is_file() else {}
        if made.get("arguments", arguments) != arguments:
            typed = " ".join(made["arguments"])
            raise ConfigError(
                f"{folder} was made with {typed}, not {' '.join(arguments)}; type another out=, the same options, or"
                " remove that folder"
            )
        if made.get("trained"):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, {"arguments": arguments, "trained": False})
        _train(folder, arguments, plan, call)
        _write(folder, {"arguments": arguments, "trained": True})
        log.info("%s: %.0f minutes", name, effort(folder)["minutes"])


def _train(folder: Path, arguments: Sequence[str], plan: Plan, call: Call) -> None:
    """Train in a folder, or go on there; a training that is over ends at once."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = (folder / "checkpoints" / LAST).exists()
    call([*([f"resume={folder}"] if begun else [*arguments, f"run_dir={folder}"]), *plan.device], folder)


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    write_atomically(folder / RESULT, (json.dumps(content, indent=1) + "\n").encode())


def make_stills(plan: Plan, task: str, call: Call) -> None:
    """Film an episode of the first seed, unless that is done; without a renderer there are no stills."""
    folder = plan.folder(task, "seed0")
    if not (folder / "play.json").exists():
        call(["mode=play", f"checkpoint={folder}", "episodes=1", *plan.device], folder)


def stored_result(plan: Plan, task: str, name: str) -> Result | None:
    """The result of a run; None if it is not finished.

    Raises:
        ConfigError: it was made with other settings.
    """
    path = plan.folder(task, name) / RESULT
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    present = {"arguments": plan.arguments(task, name), "episodes": plan.episodes}
    made = {key: content.get(key) for key in present}
    if made != present:
        raise ConfigError(
            f"{path.parent} was made with {_settings(made)}, not {_settings(present)}; type another out=, the same"
            " options, or remove that folder"
        )
    return content.get("result")


def _settings(made: Mapping[str, Any]) -> str:
    """What a run was made with, for a message."""
    return f"{' '.join(made['arguments'] or ())} episodes={made['episodes']}"


def measured(task: str, entry: TaskEntry, evaluation: Result) -> Result:
    """The figures of a suite in what an evaluation printed.

    Raises:
        ConfigError: it has no such metric.
    """
    names = ["score", "fall_rate", *([entry.measure] if entry.measure else [])]
    for name in names:
        if name not in evaluation:
            raise ConfigError(f"an evaluation of {task} does not report {name}{nearest(name, evaluation)}")
    result = {name: evaluation[name] for name in names}
    return result | {"of": entry.max_score, "share": result["score"] / entry.max_score, "evaluation": evaluation}


def effort(folder: Path) -> Result:
    """Length of a training: minutes, and control steps over all environments."""
    last = read_metrics(folder / "metrics.jsonl", 3)[-1]
    values = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    return {
        "minutes": last["wall_s"] / 60.0, "samples": last["samples"],
        "control_steps": last["samples"] * control_steps_per_decision(values),
    }  # fmt: skip
