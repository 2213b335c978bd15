"""The results of a suite: as a dictionary for JSON, and as a Markdown table."""

import platform
import re
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from isaachrl.envs.registry import choose_device
from isaachrl.errors import ConfigError
from isaachrl.files import write_atomically
from isaachrl.processors import usable_cores
from isaachrl.run.recording.tables import markdown_table
from isaachrl.run.suite.plan import Plan
from isaachrl.run.suite.runner import RANDOM, Result, effort, stored_result

PACKAGES = ("isaachrl", "torch", "mujoco", "mujoco-warp", "rl-games", "numpy")


def collect(plan: Plan) -> dict[str, Any]:
    """The results of all listed tasks in the folder, whether or not they are trained now.

    Raises:
        ConfigError: a run was made with other settings.
    """
    options = {"quick": plan.cfg.quick, "seeds": plan.seeds, "episodes": plan.episodes, "parallel": plan.parallel}
    tasks = {task: _task(plan, task) for task in plan.entries}
    tasks = {task: values for task, values in tasks.items() if task in plan.tasks or values["seeds"]}
    folders = {name: plan.out / "runs" / name for name in plan.skill_runs}
    skill = {name: effort(folder) for name, folder in folders.items() if (folder / "metrics.jsonl").is_file()}
    return {"machine": machine(plan.cfg.device), "suite": options, "skill": skill, "tasks": tasks}


def _task(plan: Plan, task: str) -> dict[str, Any]:
    """The results of a task, empty where there are none."""
    entry = plan.entries[task]
    seeds, flat = _runs(plan, task, "seed"), _runs(plan, task, "flat")
    return {
        "max_score": entry.max_score, "measure": entry.measure or None, "published": entry.published,
        "mean": summary(list(seeds.values())), "seeds": seeds,
        "random": stored_result(plan, task, RANDOM), "flat_mean": summary(list(flat.values())), "flat": flat,
    }  # fmt: skip


def _runs(plan: Plan, task: str, kind: str) -> dict[str, Result]:
    """Finished runs by seed, with their folder and arguments."""
    runs: dict[str, Result] = {}
    folders = sorted(plan.folder(task, "").glob(f"{kind}*"), key=lambda path: (len(path.name), path.name))
    for folder in (path for path in folders if re.fullmatch(rf"{kind}\d+", path.name)):
        result = stored_result(plan, task, folder.name)
        if result is not None:
            own = {"run": folder.relative_to(plan.out).as_posix(), "arguments": plan.arguments(task, folder.name)}
            runs[folder.name.removeprefix(kind)] = own | result
    return runs


def summary(results: Sequence[Result]) -> dict[str, float]:
    """Means over runs of every number; `score_spread` is the standard deviation of the score, with two runs or more."""
    if not results:
        return {}
    columns = {key: [result[key] for result in results] for key in results[0]}
    means = {
        key: statistics.fmean(column)
        for key, column in columns.items()
        if all(isinstance(value, int | float) for value in column)  # a metric without a value is None
    }
    scores = [result["score"] for result in results]
    return means | ({"score_spread": statistics.stdev(scores)} if len(scores) > 1 else {})


def machine(device: str) -> dict[str, Any]:
    """The machine: cores, processor, device, engine, and versions of packages."""
    chosen = choose_device(device, "auto")
    gpu = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else None
    return {
        "cores": len(usable_cores()), "processor": _processor(), "device": str(chosen), "gpu": gpu,
        "engine": "mujoco" if gpu is None else "mujoco_warp", "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _installed(name))},
    }  # fmt: skip


def _processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8")) if info.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _installed(name: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def markdown(results: dict[str, Any], publication: str) -> str:
    """The table with a row for each task, and two sentences on machine and publication."""
    tasks = results["tasks"]
    methods = list(dict.fromkeys(method for values in tasks.values() for method in values["published"]))
    head = ["task", "score", "of the maximum", "what counts", "falls", "minutes", "million control steps",
            "random commands", "PPO without a skill", *methods]  # fmt: skip
    rows = [_row(task, values, methods) for task, values in tasks.items()]
    return "\n".join([markdown_table(head, rows), "", *_sentences(results, publication)]) + "\n"


def _row(task: str, values: dict[str, Any], methods: Sequence[str]) -> list[str]:
    """The cells of a task; empty where there is no result yet."""
    mean, measure = values["mean"], values["measure"]
    published = [f"{values['published'][method]:g}" if method in values["published"] else "" for method in methods]
    counts = f"{measure.replace('_', ' ')} {mean[measure]:.2f}" if measure in mean else ""
    own = ["", "", counts, "", "", ""]
    if mean:
        own = [
            score(mean), f"{100 * mean['share']:.0f} %", counts, f"{100 * mean['fall_rate']:.1f} %",
            f"{mean['minutes']:.1f}", f"{mean['control_steps'] / 1e6:.2f}",
        ]  # fmt: skip
    return [task, *own, score(values["random"]), score(values["flat_mean"]), *published]


def score(values: dict[str, Any] | None) -> str:
    """A score with its spread, if it has one."""
    spread = f" ± {values['score_spread']:.0f}" if values and "score_spread" in values else ""
    return f"{values['score']:.0f}{spread}" if values else ""


def _sentences(results: dict[str, Any], publication: str) -> list[str]:
    """What the table shows, the machine, and where the published numbers come from."""
    options, made = results["suite"], results["machine"]
    seeds = max((len(values["seeds"]) for values in results["tasks"].values()), default=0)
    versions = ", ".join(f"{name} {found}" for name, found in made["versions"].items())
    lines = [
        f"Means of {options['episodes']} episodes of mean actions, over up to {seeds} seeds (± standard deviation)."
        f" Minutes and control steps are of one training; {options['parallel']} ran at once on {made['cores']} cores"
        f" of {made['gpu'] or made['processor']} ({made['engine']}; {versions})."
    ]
    for name, made in results["skill"].items():
        lines[0] += (
            f" Before: {name}, {made['minutes']:.0f} minutes, {made['samples'] / 1e6:.1f} million control steps."
        )
    return [*lines, *(["", publication] if publication else [])]


def fill_page(page: Path, table: str, mark: str = "suite") -> None:
    """Put the table between the marks of a Markdown page, `<!-- suite -->` and `<!-- /suite -->`.

    Raises:
        ConfigError: it cannot be read or has no marks.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"page={page} cannot be read ({error})") from error
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ConfigError(f"page={page} has no lines {begin} and {end}; put them where the table belongs")
    write_atomically(page, f"{before}{begin}\n{table}{end}{after}".encode())
