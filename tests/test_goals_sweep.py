"""The sweep of the goal-conditioned learners: commands build, runs are stopped and continued, the table is right."""

import json

import pytest

from benchmarks import goals_sweep
from isaachrl.errors import ConfigError
from isaachrl.run.config.settings import resolve
from tests.learn.goals.test_recipes import composed, merged

OPTIONS = goals_sweep.Options(million_steps=0.005, million_schedule=1.28, million_between=0.01)


def nested(words):
    """`a.b=1` as nested mappings."""
    result = {}
    for word in words:
        keys, _, text = word.partition("=")
        value = json.loads(text) if text[0] in "0123456789[" or text in ("true", "false") else text
        for key in reversed(keys.split(".")):
            value = {key: value}
        result = merged(result, value)
    return result


@pytest.mark.parametrize("name", [*goals_sweep.SETTINGS, "threads+period", "no_limit+one_step"])
def test_every_setting_is_a_configuration(name, tmp_path):
    words = goals_sweep.arguments(name, 3, tmp_path, OPTIONS)
    chosen = {"task=AntMaze", "train=hrl", f"run_dir={tmp_path}"}
    assert chosen <= set(words)
    settings = resolve(
        {"task": {"name": "AntMaze"}, "train": composed("hrl"), "device": "cpu"},
        nested(word for word in words if word not in chosen),
    )
    cfg = settings.learner_cfg
    assert settings.num_envs == goals_sweep.NUM_ENVS
    assert cfg.max_iterations * cfg.steps_per_iteration == 10_000 and cfg.eval_episodes == 60
    assert (cfg.threads == 2) == ("threads" in name) and (cfg.periods == [20]) == ("period" in name)


class Training:
    """Writes 1280 samples with each question whether it has ended."""

    def __init__(self, command, **_):
        self.words = dict(word.split("=", 1) for word in command[2:])
        self.run, self.stopped = goals_sweep.Path(self.words.get("run_dir") or self.words["resume"]), False
        (self.run / "checkpoints").mkdir(parents=True, exist_ok=True)
        (self.run / "checkpoints" / "last.pt").touch()
        Training.started.append(self)

    def poll(self):
        if self.stopped or len(self.lines()) > Training.longest:
            return 0
        samples = 1280 * (len(self.lines()) + 1)
        with (self.run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"iteration": samples // 1280, "samples": samples}) + "\n")
        return None

    def lines(self):
        path = self.run / "metrics.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def send_signal(self, number):
        self.stopped = True

    def wait(self):
        assert self.stopped or self.poll() == 0


def test_a_run_is_stopped_once_it_has_its_samples_and_then_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(goals_sweep.subprocess, "Popen", Training)
    monkeypatch.setattr(goals_sweep, "POLL_S", 0.0)
    Training.started, Training.longest = [], 1
    with pytest.raises(RuntimeError, match="too early"):
        goals_sweep.train("any_targets", 41, tmp_path, OPTIONS)
    Training.longest = 1000
    goals_sweep.train("any_targets", 41, tmp_path, OPTIONS)
    first, second = Training.started
    assert first.words["task.free_targets"] == "false" and first.words["seed"] == "41"
    assert second.words == {"resume": str(tmp_path / "any_targets-41")} and second.stopped
    assert 3720 <= 1280 * len(second.lines()) <= 6400
    goals_sweep.train("any_targets", 41, tmp_path, OPTIONS)
    assert len(Training.started) == 2


def test_the_table_has_means_over_seeds_as_far_as_all_have_come(tmp_path):
    for seed, successes in ((1, (0.2, 0.4, 0.9)), (2, (0.4, 0.8))):
        (tmp_path / f"free-{seed}").mkdir()
        lines = [
            {"iteration": i, "samples": 1_000_000 * i, "wall_s": 60.0 * i * seed}
            | {"eval/success_rate": rate, "eval/success_at_0_16": None, "eval/return": 1.0}
            for i, rate in enumerate(successes, 1)
        ]
        text = "".join(json.dumps(line) + "\n" for line in [{"samples": 5}, *lines])
        (tmp_path / f"free-{seed}" / "metrics.jsonl").write_text(text)
    rows = goals_sweep.table(tmp_path)
    assert [(row["million"], row["minutes"], row["seeds"]) for row in rows] == [(1.0, 1.5, 2), (2.0, 3.0, 2)]
    assert [row["rate"] for row in rows] == pytest.approx([0.3, 0.6])
    text = goals_sweep.markdown(rows).splitlines()
    assert text[0] == "| setting | seeds | million | minutes | at_0_16 | rate |" and "| 0.60 |" in text[3]


def test_wrong_words_are_answered():
    with pytest.raises(ConfigError, match=r"no setting 'no_futur'; did you mean no_future"):
        goals_sweep.Options(only="recipe,no_futur+no_limit")
    with pytest.raises(ConfigError, match="seeds=a"):
        goals_sweep.Options(seeds="a")
