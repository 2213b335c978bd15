"""Both engines; the one for GPUs runs on the CPU here, if it is installed."""

import functools

import pytest

from tests.sim.worlds import make_on


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """MuJoCo writes its log into the working folder when a world diverges."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["mujoco", "mujoco_warp"])
def make(request):
    """`make(scene, n)` builds worlds on each of the engines."""
    if request.param == "mujoco_warp":
        pytest.importorskip("mujoco_warp", reason='MuJoCo Warp is not installed: pip install -e ".[gpu]"')
    return functools.partial(make_on, request.param)
