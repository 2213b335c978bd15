"""The ablation's settings are comparable, its work can be continued, and its table says what the runs said."""

import json

import pytest

from benchmarks import ablation
from isaachrl.errors import ConfigError

OPTIONS = ablation.Options(num_envs=10, million_steps=0.08)


def keys(setting, tmp_path):
    return dict(part.split("=", 1) for part in setting.command(tmp_path / "run", 3, OPTIONS))


def test_every_setting_has_the_same_control_steps_and_the_same_discount_in_seconds(tmp_path):
    for setting in ablation.settings(""):
        typed = keys(setting, tmp_path)
        steps = int(typed["task.hierarchy.steps"])
        assert int(typed["max_iterations"]) * int(typed["train.horizon"]) * 10 * steps == 80_000, setting
        assert float(typed["train.gamma"]) ** (5 / steps) == pytest.approx(0.96, abs=1e-4)
        assert typed["seed"] == "3"


def test_the_settings_are_those_that_are_compared(tmp_path):
    skill = tmp_path / "a.pt"
    skill.touch()
    names = [setting.name for setting in ablation.settings(f"8:{skill},64:{skill}")]
    assert names == ["k=1", "k=5", "k=10", "k=20", "flat", "style 0", "style 0.1", "style 0.5", "d=8", "d=64"]
    with pytest.raises(ConfigError, match=r"expected SIZE:PATH"):
        ablation.settings("a.pt")
    with pytest.raises(ConfigError, match=r"there is no file b.pt"):
        ablation.settings("8:b.pt")


def test_the_task_may_be_another_one(tmp_path):
    options = ablation.Options(task="HumanoidLocation", num_envs=10, million_steps=0.08)
    command = ablation.settings("")[0].command(tmp_path, 0, options)
    assert command[0] == "task=HumanoidLocation" and "train.gamma=0.993927" in command
    assert not any(word.startswith("task.layout") for word in command)
    with pytest.raises(ConfigError, match=r"did you mean HumanoidLocation"):
        ablation.Options(task="Location")


def test_settings_are_chosen_by_name_or_group():
    found = ablation.settings("")
    assert [setting.name for setting in ablation.select(found, "k=10,style")] == [
        "k=10",
        "style 0",
        "style 0.1",
        "style 0.5",
    ]
    assert ablation.select(found, "") == found
    with pytest.raises(ConfigError, match=r"no setting or group 'k=6'; did you mean k=5"):
        ablation.select(found, "k=6")


def test_finished_runs_are_left_and_begun_ones_go_on(tmp_path, monkeypatch):
    called = []
    setting = ablation.settings("")[0]
    run = ablation.run_folder(setting, 0, tmp_path)

    def call(arguments):
        called.append(arguments)
        (run / "metrics.jsonl").write_text(json.dumps({"wall_s": 90.0}) + "\n")
        return 'a word\n{"success_rate": 0.5}\n' if arguments[0] == "mode=evaluate" else ""

    monkeypatch.setattr(ablation, "_call", call)
    (run / "checkpoints").mkdir(parents=True)
    first = ablation.train_and_evaluate(setting, 0, tmp_path, OPTIONS)
    assert first == {"success_rate": 0.5, "minutes": 1.5}
    assert called[0][0] == "task=HumanoidHRLMaze"
    called.clear()
    assert ablation.train_and_evaluate(setting, 0, tmp_path, OPTIONS) == first and called == []
    with pytest.raises(ConfigError, match="was made with .*'layout': 'umaze'.*take another folder"):
        ablation.train_and_evaluate(setting, 0, tmp_path, ablation.Options(layout="large"))
    (run / ablation.RESULT).unlink()
    (run / "checkpoints" / "last.pt").touch()
    ablation.train_and_evaluate(setting, 0, tmp_path, OPTIONS)
    assert called[0] == [f"resume={run}"]


def test_all_that_is_finished_stands_in_figure_and_table(tmp_path):
    for name, seed, success in (("k=1", 0, 0.2), ("k=1", 7, 0.4), ("style 0", 0, 1.0)):
        (setting,) = ablation.select(ablation.settings(""), name)
        run = ablation.run_folder(setting, seed, tmp_path)
        run.mkdir()
        line = {"samples": 10, "episode/success_rate": success, "episode/fall_rate": 0.0}
        (run / "metrics.jsonl").write_text("".join(json.dumps(line | {"samples": 10 * i}) + "\n" for i in (1, 2)))
        evaluation = {"success_rate": success, "path_efficiency": None}
        (run / ablation.RESULT).write_text(json.dumps({"options": OPTIONS.shared(), "evaluation": evaluation}))
    table = ablation.draw(tmp_path, OPTIONS)
    assert table["k=1"]["success_rate"] == pytest.approx((0.2, 0.3, 0.4))
    assert table["style 0"] == {"success_rate": (1.0, 1.0, 1.0)} and len(table) == 2
    assert (tmp_path / "ablation.png").stat().st_size > 1000


def test_a_failing_command_is_named(monkeypatch):
    with pytest.raises(RuntimeError, match=r"task=Nonsense failed"):
        ablation._call(["task=Nonsense"])


def test_unknown_options_are_refused(tmp_path):
    for word, message in (
        ("seed=1", "did you mean seeds"),
        ("seeds=a", "type whole numbers"),
        ("jobs=0", "jobs=0: expected a number from 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            ablation.main([str(tmp_path), word])
