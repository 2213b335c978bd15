"""This project's messages under the launcher: they reach the standard error whatever the script does to logging."""

import logging

from isaachrl.compat.isaacgym.settings import SETTINGS


def log_to_stderr() -> None:
    """Write this project's messages to the standard error, and keep doing so, see `keep_logging`."""
    handler, logger = logging.StreamHandler(), logging.getLogger("isaachrl")
    handler.setFormatter(logging.Formatter("isaachrl: %(message)s"))
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    SETTINGS.logs = True


def keep_logging() -> None:
    """Enable this project's loggers again: a script that configures logging disables them, as IsaacGymEnvs' does."""
    if SETTINGS.logs:
        for name, logger in logging.root.manager.loggerDict.items():
            if f"{name}.".startswith("isaachrl.") and isinstance(logger, logging.Logger):
                logger.disabled = False
