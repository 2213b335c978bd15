"""Set-up shared by all tests: few threads, headless rendering, fixed seeds, checked shapes."""

import os
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo reads it when it is imported

from jaxtyping import install_import_hook  # noqa: E402

# only modules that write shapes in their signatures: the hook costs time and says nothing about the others
_SHAPED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "isaachrl").rglob("*.py"))
    if "from jaxtyping import" in path.read_text(encoding="utf-8")
]
if _SHAPED:
    install_import_hook(_SHAPED, "beartype.beartype")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from isaachrl.envs import registry  # noqa: E402
from tests.learning import (  # noqa: E402, F401 - hooks and a fixture
    pytest_addoption,
    pytest_generate_tests,
    pytest_terminal_summary,
    reached,
)

torch.set_num_threads(1)  # small tensors: a second thread only waits, and slows the engine's own threads


AUTOMATIC = registry.automatic_device


def on_cpu():
    """What `device=auto` means in tests: they mix in tensors of their own, which live on the CPU."""
    return torch.device("cpu")


registry.automatic_device = on_cpu  # at once, for fixtures of whole modules; tests marked `cuda` have the real one


def pytest_runtest_setup(item):
    """Tests marked `cuda` run where there is a GPU, and may take it by default."""
    marked = item.get_closest_marker("cuda") is not None
    registry.automatic_device = AUTOMATIC if marked else on_cpu
    if marked and not torch.cuda.is_available():
        pytest.skip("no CUDA device here; `make gpu` runs this test where there is one")


@pytest.fixture
def automatic_device(monkeypatch):
    """The real choice of `device=auto`, and nothing remembered of it before or after."""
    AUTOMATIC.cache_clear()
    monkeypatch.setattr(registry, "automatic_device", AUTOMATIC)
    yield AUTOMATIC
    AUTOMATIC.cache_clear()


@pytest.fixture(autouse=True)
def seeds():
    """The same global random numbers in every test, whichever tests run before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
