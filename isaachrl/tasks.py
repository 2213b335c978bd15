"""The shipped tasks by the name that they have in an installed package, where they replace this module.

In a checkout they are the folder `tasks`; here its modules get their second names, so that none is loaded twice.
"""

import sys

import tasks

for name in [name for name in sys.modules if name == "tasks" or name.startswith("tasks.")]:
    sys.modules[f"isaachrl.{name}"] = sys.modules[name]

assert tasks
