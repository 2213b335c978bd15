"""The packages of the extra `view`, imported when they are needed."""

import importlib
import socket
from contextlib import closing
from typing import Any

from isaachrl.errors import ConfigError
from isaachrl.files import WINDOWS
from isaachrl.shipped import installing

HOST = "127.0.0.1"


def viser() -> Any:
    """The package viser.

    Raises:
        ConfigError: it is not installed.
    """
    return _load("viser")


def trimesh() -> Any:
    """The package trimesh, which comes with viser.

    Raises:
        ConfigError: it is not installed.
    """
    return _load("trimesh")


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"the viewer in the browser needs {name}, which cannot be imported ({error}); type"
            f" {installing('view')}, or view=native where there is a display"
        ) from error


def serve(port: int, title: str) -> Any:
    """A viser server that only this machine reaches.

    Args:
        port: 0 takes any free one.
        title: of the page.

    Raises:
        ConfigError: viser is not installed, or the port is taken.
    """
    package = viser()
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        if not WINDOWS:  # where this option would bind a port that is taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"port={port} cannot be used ({error.strerror}); type port={port + 1}, or port=0 for any free one"
            ) from error
    return package.ViserServer(host=HOST, port=port, label=title, verbose=False)
