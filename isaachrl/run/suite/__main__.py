"""`python -m isaachrl.run.suite out=FOLDER [seeds=3] [tasks=A,B] [quick=true]`: train and evaluate many tasks.

`cfg/suite.yaml` lists the tasks. After each finished part `suite.json`, `suite.md` and `suite.png` are written into the
folder; the same command continues an interrupted suite.
"""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from isaachrl.errors import IsaacHRLError
from isaachrl.files import write_atomically
from isaachrl.processors import usable_cores
from isaachrl.run.loop.stop import Stop
from isaachrl.run.process import guarded, set_up_logging
from isaachrl.run.storage.folder import RunFolder
from isaachrl.run.storage.metrics import jsonable
from isaachrl.run.suite.picture import draw
from isaachrl.run.suite.plan import Plan, make_plan
from isaachrl.run.suite.results import collect, fill_page, markdown
from isaachrl.run.suite.runner import Call, TrainPy, run

log = logging.getLogger("isaachrl.run.suite")  # `__name__` is `__main__` under `python -m`


def suite(words: Sequence[str], call: Call | None = None) -> str:
    """Do what is missing of a suite; returns its table.

    Args:
        words: the options, see `isaachrl.run.suite.plan.SuiteCfg`.
        call: runs `train.py`; by default in processes.

    Raises:
        ConfigError: an invalid option or list, or the folder has results of other settings.
        IsaacHRLError: parts failed; all others are done.
    """
    plan = make_plan(words)
    RunFolder(plan.out).remove_leftovers()
    table = publish(plan)
    if call is None:
        call = TrainPy(max(1, len(usable_cores()) // plan.parallel) if plan.parallel > 1 else None)
    log.info("%d tasks, %d seeds, %d at once; results in %s", len(plan.tasks), plan.seeds, plan.parallel, plan.out)
    with Stop().watching():
        failures = run(plan, call, lambda: publish(plan))
    table = publish(plan)
    if failures:
        listed = "; ".join(f"{part}: {message}" for part, message in failures.items())
        raise IsaacHRLError(f"{len(failures)} parts failed, the same command tries them again: {listed}")
    return table


def publish(plan: Plan) -> str:
    """Write table, figures and picture of what is finished; returns the table."""
    results = collect(plan)
    table = markdown(results, plan.listed.publication)
    write_atomically(plan.out / "suite.json", (json.dumps(jsonable(results), indent=1) + "\n").encode())
    write_atomically(plan.out / "suite.md", table.encode())
    write_atomically(plan.out / "suite.png", draw(results, plan.out))
    if plan.cfg.page:
        fill_page(Path(plan.cfg.page), table)
    return table


def main() -> None:
    """Run the command and print the table."""
    set_up_logging()
    sys.stdout.write(guarded(suite, sys.argv[1:]))


if __name__ == "__main__":
    main()
