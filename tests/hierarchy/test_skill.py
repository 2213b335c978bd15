"""Skill files: what is no skill is refused."""

import pytest

from isaachrl.errors import SkillError
from isaachrl.hierarchy.skill import Skill


def test_a_file_of_another_kind_is_refused_without_foreign_advice(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# not a skill")
    with pytest.raises(SkillError, match=r"README\.md cannot be read as a skill file.*RUN/skill\.pt") as error:
        Skill.load(path)
    assert "weights_only" not in str(error.value)
