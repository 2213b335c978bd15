"""A skill with random weights for tasks that are commanded."""

import pytest

from tests.tiny_skill import make_tiny_skill


@pytest.fixture(scope="session")
def skill_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("skill") / "tiny.pt"
    make_tiny_skill().save(path)
    return str(path)
