"""The ablation's settings are comparable, its work can be continued, and its table says what the runs said."""

import json

import pytest

from benchmarks import ablation
from isaachrl.errors import ConfigError

OPTIONS = ablation.DEFAULTS | {"num_envs": "10", "million_steps": "0.08"}


def keys(setting, tmp_path):
    return dict(part.split("=", 1) for part in setting.command(tmp_path / "run", 3, OPTIONS))


def test_every_setting_has_the_same_control_steps_and_the_same_discount_in_seconds(tmp_path):
    for setting in ablation.settings(""):
        typed = keys(setting, tmp_path)
        steps = int(typed["task.hierarchy.steps"])
        assert int(typed["max_iterations"]) * int(typed["train.horizon"]) * 10 * steps == 80_000, setting
        assert float(typed["train.gamma"]) ** (5 / steps) == pytest.approx(0.96, abs=1e-4)
        assert typed["seed"] == "3"


def test_the_settings_are_those_that_are_compared():
    names = [setting.name for setting in ablation.settings("8:a.pt,64:b.pt")]
    assert names == ["k=1", "k=5", "k=10", "k=20", "flat", "style 0", "style 0.5", "d=8", "d=64"]
    with pytest.raises(ConfigError, match=r"expected SIZE:PATH"):
        ablation.settings("a.pt")


def test_settings_are_chosen_by_name_or_group():
    found = ablation.settings("")
    assert [setting.name for setting in ablation.select(found, "k=10,style")] == ["k=10", "style 0", "style 0.5"]
    assert ablation.select(found, "") == found
    with pytest.raises(ConfigError, match=r"no setting or group 'k=6'; did you mean k=5"):
        ablation.select(found, "k=6")


def test_finished_runs_are_left_and_begun_ones_go_on(tmp_path, monkeypatch):
    called = []
    setting = ablation.settings("")[0]
    run = ablation.run_folder(setting, 0, tmp_path)

    def call(arguments):
        called.append(arguments)
        if arguments[0] == "mode=evaluate":
            (run / "evaluate.json").write_text(json.dumps({"success_rate": 0.5}))

    monkeypatch.setattr(ablation, "_call", call)
    (run / "checkpoints").mkdir(parents=True)
    assert ablation.train_and_evaluate(setting, 0, tmp_path, OPTIONS)["success_rate"] == 0.5
    assert called[0][0] == "task=HumanoidHRLMaze"
    called.clear()
    assert ablation.train_and_evaluate(setting, 0, tmp_path, OPTIONS)["success_rate"] == 0.5
    assert called == []
    (run / "evaluate.json").unlink()
    (run / "checkpoints" / "last.pt").touch()
    ablation.train_and_evaluate(setting, 0, tmp_path, OPTIONS)
    assert called[0] == [f"resume={run}"]


def test_the_table_has_lowest_mean_and_highest():
    one, two = ablation.settings("")[:2]
    found = [
        (one, {"success_rate": 0.2}),
        (two, {"success_rate": 1.0}),
        (one, {"success_rate": 0.4, "fall_rate": None}),
    ]
    table = ablation.summarise(found)
    assert table["k=1"]["success_rate"] == pytest.approx((0.2, 0.3, 0.4))
    assert table["k=5"] == {"success_rate": (1.0, 1.0, 1.0)}


def test_a_failing_command_is_named(monkeypatch):
    with pytest.raises(RuntimeError, match=r"task=Nonsense failed"):
        ablation._call(["task=Nonsense"])


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="unknown option 'seed'"):
        ablation.main([str(tmp_path), "seed=1"])
