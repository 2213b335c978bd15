"""Keys that were renamed."""

import dataclasses

import pytest

from isaachrl.learn.goals.config import GoalsCfg, LevelCfg


def keys(cfg, prefix=""):
    """Keys of a configuration and of its sections, such as `flips` and `flips.penalty`."""
    for field in dataclasses.fields(cfg):
        yield prefix + field.name
        value = getattr(cfg, field.name)
        if dataclasses.is_dataclass(value):
            yield from keys(value, f"{prefix}{field.name}.")


@pytest.mark.parametrize("cfg", [GoalsCfg(), LevelCfg()])
def test_old_keys_are_gone_and_lead_to_present_ones(cfg):
    present = set(keys(cfg))
    assert present.isdisjoint(cfg.RENAMED)
    assert set(cfg.RENAMED.values()) - {""} <= present
