"""Where the commands write their results."""

import json
import sys
from pathlib import Path
from typing import Any

from isaachrl import shipped
from isaachrl.files import write_atomically
from isaachrl.run.config.settings import Settings
from isaachrl.run.storage.folder import CONFIG, RunFolder
from isaachrl.run.storage.metrics import jsonable


def results_folder(settings: Settings) -> RunFolder:
    """`run_dir`, else the run folder of the checkpoint; `runs/<task>/<file name>` for a file outside of a run."""
    if settings.run.run_dir:
        return RunFolder(Path(settings.run.run_dir))
    if settings.run.checkpoint is None:
        return RunFolder(Path("runs") / settings.task.name / settings.run.policy.value)
    source = shipped.find(settings.run.checkpoint) or Path(settings.run.checkpoint)
    if source.is_dir():
        return RunFolder(source)
    run = source.parent.parent if source.parent.name in ("checkpoints", "export") else source.parent
    return RunFolder(run if (run / CONFIG).is_file() else Path("runs") / settings.task.name / source.stem)


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Print a summary as a line of JSON on the standard output, and write it to a file.

    Raises:
        WriteError: the file could not be written; the line has been printed.
    """
    line = json.dumps(jsonable(summary))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    write_atomically(path, (line + "\n").encode())
