"""Speed over the number of environments, as a picture.

    python benchmarks/scaling.py PICTURE.png [sizes=64,256,1024,4096] [task=HumanoidAMP] [sim=…] [seconds=5] …

Runs `throughput.py` in a process for each size; other keys are passed on to it (`loop=none`, `threads=1`, …). Draws the
control steps per second of the bare engine and of the environment, and their ratio. One JSON line goes to standard
output, a table to standard error.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from isaachrl.errors import ConfigError, IsaacHRLError

THROUGHPUT = Path(__file__).with_name("throughput.py")
SIZES, SECONDS = "64,256,1024,4096", "5"
KEPT = ("num_envs", "bare_control_steps_per_s", "env_steps_per_s", "ratio")


def one_size(count: int, words: dict[str, str]) -> dict[str, Any]:
    """The result of `throughput.py` for a number of environments.

    Raises:
        ConfigError: it failed; has its message.
    """
    arguments = [f"{key}={value}" for key, value in ({"seconds": SECONDS} | words | {"num_envs": str(count)}).items()]
    done = subprocess.run([sys.executable, str(THROUGHPUT), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ConfigError(f"num_envs={count}: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return json.loads(done.stdout)


def draw(points: Sequence[dict[str, Any]], title: str, path: Path) -> None:
    """Write the picture: steps per second on top, the ratio below, over the number of environments."""
    counts = [point["num_envs"] for point in points]
    figure, (above, below) = pyplot.subplots(
        2, 1, sharex=True, figsize=(6.0, 5.0), height_ratios=(3, 1), layout="constrained"
    )
    curves = {"bare engine": "bare_control_steps_per_s", "measured": "env_steps_per_s"}
    for label, name in curves.items():
        above.plot(counts, [point[name] for point in points], marker="o", label=label)
    speeds = [point[name] for point in points for name in curves.values()]
    above.set(title=title, ylabel="control steps per second", xscale="log")
    if max(speeds) > 10 * min(speeds):
        above.set_yscale("log")
    else:
        above.set_ylim(0.0, 1.1 * max(speeds))
    above.legend()
    below.plot(counts, [point["ratio"] for point in points], marker="o", color="black")
    below.set(xlabel="environments", ylabel="ratio", ylim=(0.0, 1.05))
    below.set_xticks(counts, [str(count) for count in counts], minor=False)
    below.minorticks_off()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(arguments: Sequence[str]) -> None:
    """Measure, draw and print.

    Raises:
        ConfigError: no picture was named, or the sizes are not whole numbers.
    """
    paths = [word for word in arguments if "=" not in word]
    words = {key: value for key, _, value in (word.partition("=") for word in arguments if "=" in word)}
    sizes = words.pop("sizes", SIZES).split(",")
    if len(paths) != 1 or not all(size.isdigit() and int(size) > 0 for size in sizes):
        raise ConfigError("type python benchmarks/scaling.py PICTURE.png sizes=64,256,1024")
    points = [one_size(int(size), words) for size in sizes]
    first = points[0]
    what = f"pretraining, loop={first['loop']}" if first["loop"] else "environment"
    draw(points, f"{first['task']} ({what}), {first['engine']} on {first['device']}", Path(paths[0]))
    for name in KEPT:
        print(f"{name:>26}  " + "  ".join(f"{point[name]:>10}" for point in points), file=sys.stderr)
    common = {name: first[name] for name in ("task", "loop", "device", "engine", "graph", "versions", "cores")}
    print(json.dumps(common | {"points": [{name: point[name] for name in KEPT} for point in points]}))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except IsaacHRLError as error:
        sys.exit(f"error: {error}")
