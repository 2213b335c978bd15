"""`train.py` as a user types it: train, resume, and evaluate the shipped policy of a maze."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gpu.options import Options
from gpu.report import Report
from isaachrl.envs.registry import choose_device

ROOT = Path(__file__).resolve().parents[2]
POLICY = "assets/skills/umaze.pt"
EPISODES = 512
KEPT = ("episodes", "success_rate", "success", "fell", "fall_rate", "length_mean", "return_mean")


def train_py(*words: str) -> tuple[float, str]:
    """Run `train.py`; returns seconds and standard output.

    Raises:
        RuntimeError: it failed; has its last line.
    """
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    if done.returncode:
        raise RuntimeError(f"train.py {' '.join(words)}: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return time.perf_counter() - start, done.stdout


def train_and_resume(report: Report, words: list[str], folder: Path, count: int) -> None:
    """Two iterations, the sizes of their files, and two more iterations."""
    dry = ["train.horizon=4", "train.discriminator.demo_windows=16"] * ("device=cpu" in words)
    took, _ = train_py("task=HumanoidAMP", f"num_envs={count}", "max_iterations=2", f"run_dir={folder}", *words, *dry)
    report.figure("train_s", took)
    for path in sorted((folder / "checkpoints").iterdir()):
        name = "last" if path.stem == "last" else "numbered"
        report.figure(f"{name}_mb", path.stat().st_size / 1e6)
    report.figure("skill_mb", (folder / "skill.pt").stat().st_size / 1e6)
    took, _ = train_py(f"resume={folder}", "max_iterations=4", *words)
    report.figure("resume_s", took)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    report.figure("samples_per_s", lines[-1]["perf/samples_per_s"])
    report.check("resumed", [line["iteration"] for line in lines] == [1, 2, 3, 4])


def evaluate(report: Report, words: list[str], folder: Path, dry: bool) -> None:
    """The shipped policy in its maze; in a dry run, two short episodes."""
    count = 2 if dry else EPISODES
    sizes = [f"episodes={count}", f"num_envs={count}", f"run_dir={folder}"] + ["task.episode_steps=20"] * dry
    took, printed = train_py("mode=evaluate", f"checkpoint={POLICY}", *sizes, *words)
    summary: dict[str, Any] = json.loads(printed.splitlines()[-1])
    report.figures({"evaluate_s": took} | {name: summary[name] for name in KEPT if name in summary})
    report.check("evaluated", summary["episodes"] >= count, summary["episodes"])


def run(report: Report, options: Options) -> None:
    """Three processes of `train.py`."""
    device = choose_device(options.device)
    words = [f"device={device}", "sim=mujoco_warp"]
    with tempfile.TemporaryDirectory() as name:
        with report.part("train"):
            train_and_resume(report, words, Path(name) / "run", options.num_envs)
        with report.part("evaluate"):
            evaluate(report, words, Path(name) / "maze", device.type == "cpu")
