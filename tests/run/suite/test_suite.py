"""A suite does what is missing, goes on after a kill, and reports what it has; a program of a few lines trains."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from isaachrl.errors import ConfigError, IsaacHRLError
from isaachrl.run.suite import __main__ as command
from isaachrl.run.suite.plan import make_plan
from isaachrl.run.suite.runner import TrainPy, stored_result

TASKS = {
    "HumanoidLocation": {
        "flat": 1,
        "settings": ["num_envs=8"],
        "quick": ["max_iterations=1"],
        "published": {"AMP": 408},
    },
    "HumanoidTrajectory": {"measure": "path_error_m"},
}
STEPS = 5


class Killed(BaseException):
    """What ends a process at once."""


class Trainer:
    """Stands in for `train.py`: writes what a training writes, and answers an evaluation; counts its calls."""

    def __init__(self, killed_at=None, failing=""):
        self.calls, self.killed_at, self.failing = [], killed_at, failing

    def __call__(self, arguments, folder):
        typed = dict(word.split("=", 1) for word in arguments)
        kind = typed.get("mode", "resume" if "resume" in typed else "train")
        self.calls.append(f"{kind} {folder.parent.name}/{folder.name}")
        if self.killed_at and len(self.calls) >= self.killed_at:
            raise Killed
        if self.failing and self.failing in self.calls[-1]:
            raise IsaacHRLError("it has diverged")
        if kind in ("train", "resume"):
            self.train(typed, folder)
        if kind == "play":
            (folder / "play.json").write_text("{}")
        return "words\n" + json.dumps(self.evaluation(folder)) + "\n" if kind == "evaluate" else ""

    def train(self, typed, folder):
        skill = typed.get("skill", "walk.pt")
        if "resume" not in typed:
            config = {
                "task": {"skill": skill, "hierarchy": {"steps": STEPS}},
                "train": {"horizon": int(typed.get("train.horizon", 16)), "gamma": 0.97, "max_iterations": 4},
                "num_envs": 8,
            }
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / "last.pt").touch()
        horizon = yaml.safe_load((folder / "config.yaml").read_text())["train"]["horizon"]
        rows = [
            {"iteration": i, "samples": 8 * horizon * i, "wall_s": 30.0 * i, "episode/score": 100.0 * i}
            for i in range(1, 5)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def evaluation(self, folder):
        seed = int(folder.name[-1]) if folder.name[-1].isdigit() else 0
        score = {"seed": 400.0 + 20.0 * seed, "flat": 90.0, "rand": 30.0}[folder.name[:4]]
        return {"score": score, "fall_rate": 0.02, "path_error_m": 0.25, "return_mean": 1.0}


@pytest.fixture(autouse=True)
def no_picture(request, monkeypatch):
    """Drawing takes longer than all else; tests that ask for `pictures` draw."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(command, "draw", lambda results, out: b"")


@pytest.fixture
def pictures():
    """Asks for pictures."""


@pytest.fixture
def listed(tmp_path):
    """A list of two tasks."""
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump({"episodes": 512, "publication": "They walk elsewhere.", "tasks": TASKS}))
    return path


def suite(listed, trainer, *words):
    return command.suite(["out=out", f"list={listed}", "parallel=1", *words], trainer)


def results():
    return json.loads(Path("out/suite.json").read_text())


def test_three_seeds_and_baselines_become_a_table_a_picture_and_figures(listed):
    trainer = Trainer()
    table = suite(listed, trainer)
    of_location = results()["tasks"]["HumanoidLocation"]
    assert list(of_location["seeds"]) == ["0", "1", "2"] and list(of_location["flat"]) == ["0"]
    assert of_location["mean"]["score"] == 420.0 and of_location["mean"]["score_spread"] == 20.0
    assert of_location["mean"]["share"] == pytest.approx(0.7) and of_location["mean"]["minutes"] == 2.0
    first = of_location["seeds"]["0"]
    assert first["control_steps"] == 4 * 16 * 8 * STEPS == of_location["flat"]["0"]["control_steps"]
    assert first["arguments"] == ["task=HumanoidLocation", "seed=0", "num_envs=8"]
    assert of_location["random"]["score"] == 30.0
    made = results()["machine"]
    assert made["cores"] >= 1 and made["processor"] and made["versions"]["torch"] and made["engine"] == "mujoco"
    row, other = table.splitlines()[2:4]
    assert row == "| HumanoidLocation | 420 ± 20 | 70 % |  | 2.0 % | 2.0 | 0.00 | 30 | 90 | 408 |"
    assert other.startswith("| HumanoidTrajectory | 420 ± 20 | 70 % | path error m 0.25 |") and other.endswith(
        "|  |  |"
    )
    assert table == Path("out/suite.md").read_text() and table.endswith("They walk elsewhere.\n")
    assert sorted(trainer.calls)[0] == "evaluate HumanoidLocation/flat0" and len(trainer.calls) == 2 * 7 + 4


def test_flat_ppo_keeps_control_steps_discount_and_rollout_in_seconds(listed):
    suite(listed, Trainer(), "seeds=1", "tasks=HumanoidLocation")
    typed = dict(word.split("=", 1) for word in results()["tasks"]["HumanoidLocation"]["flat"]["0"]["arguments"])
    assert typed["skill"] == "none" and typed["train.horizon"] == "80" and typed["max_iterations"] == "4"
    assert float(typed["train.gamma"]) ** STEPS == pytest.approx(0.97, abs=1e-4)


def test_a_killed_suite_shows_what_it_has_and_goes_on_without_repeating(listed):
    whole = Trainer()
    suite(listed, whole, "seeds=2")
    table = Path("out/suite.md").read_text()
    for killed_at in range(1, len(whole.calls) + 1):
        Path("out").rename(f"done{killed_at}")
        first, second = Trainer(killed_at), Trainer()
        with pytest.raises(Killed):
            suite(listed, first, "seeds=2")
        done, killed = first.calls[: killed_at - 1], first.calls[killed_at - 1]
        shown = [name for task in results()["tasks"].values() for name in task["seeds"]]
        assert len(shown) == sum(call.startswith("evaluate") and "/seed" in call for call in done)
        suite(listed, second, "seeds=2")
        assert Path("out/suite.md").read_text() == table
        assert not {*done} & {*second.calls}, "a finished step is done once"
        trained = killed.startswith("evaluate") and "random" not in killed
        resumed = [call for call in second.calls if call.startswith("resume")]
        assert resumed == [killed.replace("evaluate", "resume")] * trained


def test_a_failed_part_leaves_the_others_and_is_tried_again(listed):
    with pytest.raises(IsaacHRLError, match="1 parts failed.*HumanoidLocation/seed1: it has diverged"):
        suite(listed, Trainer(failing="train HumanoidLocation/seed1"), "seeds=2")
    tasks = results()["tasks"]
    assert list(tasks["HumanoidLocation"]["seeds"]) == ["0"] and list(tasks["HumanoidTrajectory"]["seeds"]) == [
        "0",
        "1",
    ]
    again = Trainer()
    suite(listed, again, "seeds=2")
    assert again.calls == ["train HumanoidLocation/seed1", "evaluate HumanoidLocation/seed1"]


def test_more_seeds_and_other_tasks_join_what_is_there(listed):
    suite(listed, Trainer(), "seeds=1", "tasks=HumanoidTrajectory")
    assert list(results()["tasks"]) == ["HumanoidTrajectory"]
    more = Trainer()
    suite(listed, more, "seeds=2", "tasks=HumanoidLocation")
    assert not any("HumanoidTrajectory" in call for call in more.calls)
    assert list(results()["tasks"]) == ["HumanoidLocation", "HumanoidTrajectory"]


def test_quick_and_long_suites_do_not_mix(listed):
    suite(listed, Trainer(), "quick=true")
    assert results()["suite"] == {"quick": True, "seeds": 1, "episodes": 64, "parallel": 1}
    first = results()["tasks"]["HumanoidLocation"]["seeds"]["0"]
    assert first["arguments"][-1] == "max_iterations=1"
    with pytest.raises(
        ConfigError, match="was made with .*max_iterations=1 episodes=64, not .*episodes=512; type another"
    ):
        suite(listed, Trainer())


def test_a_metric_that_is_not_reported_is_named(listed):
    listed.write_text(yaml.safe_dump({"tasks": {"HumanoidLocation": {"measure": "path_eror_m"}}}))
    with pytest.raises(IsaacHRLError, match="does not report path_eror_m; did you mean path_error_m"):
        suite(listed, Trainer(), "seeds=1")
    assert results()["tasks"]["HumanoidLocation"]["seeds"] == {}


def test_stills_stand_beside_the_curves(listed, pictures):
    import imageio.v3 as imageio

    trainer = Trainer()
    suite(listed, trainer, "seeds=1", "tasks=HumanoidTrajectory")
    assert Path("out/suite.png").read_bytes()[:4] == b"\x89PNG"
    narrow = imageio.imread("out/suite.png").shape
    imageio.imwrite("out/runs/HumanoidTrajectory/seed0/play.jpg", np.full((40, 200, 3), 128, np.uint8))
    suite(listed, trainer, "seeds=1", "tasks=HumanoidTrajectory")
    wide = imageio.imread("out/suite.png").shape
    assert wide[0] == narrow[0] and wide[1] > 2 * narrow[1]


def test_the_table_is_put_between_the_marks_of_a_page(listed):
    Path("page.md").write_text("# Title\n\n<!-- suite -->\nold\n<!-- /suite -->\n\nWords.\n")
    table = suite(listed, Trainer(), "seeds=1", "page=page.md")
    assert Path("page.md").read_text() == f"# Title\n\n<!-- suite -->\n{table}<!-- /suite -->\n\nWords.\n"
    Path("bare.md").write_text("# Title\n")
    with pytest.raises(ConfigError, match=r"bare.md has no lines <!-- suite --> and <!-- /suite -->"):
        suite(listed, Trainer(), "seeds=1", "page=bare.md")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds=3"], r"out= is missing: expected a folder for the results; type python -m isaachrl.run.suite out="),
        (["out="], r"out= is empty; type out=VALUE or leave out= out"),
        (["out=out", "seeds=0"], r"seeds=0: expected a number from 1 to 1000"),
        (["out=out", "seeds=many"], r"seeds: .*many"),
        (["out=out", "sedes=3"], r"unknown key sedes; did you mean seeds"),
        (["out=out", "tasks="], r"tasks= is empty"),
        (["out=out", "tasks=HumanoidLocatoin"], r"has no task 'HumanoidLocatoin'; did you mean HumanoidLocation"),
        (["out=out", "--quick"], r"'--quick' is not an option; type python -m isaachrl.run.suite out="),
        (["out=out", "out=in"], r"out is given twice, as out and as in"),
        (["out=out", "list=none.yaml"], r"list=none.yaml cannot be read.*cfg/suite.yaml"),
    ],
)
def test_options_that_cannot_be_used_are_answered(words, message):
    with pytest.raises(ConfigError, match=message):
        make_plan(words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "has no tasks; expected tasks: {NAME"),
        ({"tasks": {}}, "has no tasks"),
        ({"tasks": {"HumanoidWalk": {}}}, "no task HumanoidWalk with a cfg/train/HumanoidWalk.yaml"),
        ({"tasks": {"Turned": {"task": "HumanoidWalk"}}}, "no task HumanoidWalk with a cfg/train/HumanoidWalk.yaml"),
        ({"tasks": {"HumanoidLocation": {"mesure": "x"}}}, "unknown key tasks.HumanoidLocation.mesure"),
        ({"tasks": {"HumanoidLocation": {"max_score": 0}}}, "tasks.HumanoidLocation.max_score=0"),
        ({"task": {}}, "unknown key task; did you mean tasks"),
    ],
)
def test_lists_that_cannot_be_used_are_answered(content, message, listed):
    listed.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message):
        make_plan(["out=out", f"list={listed}"])


def test_a_task_is_listed_twice_with_other_settings(listed):
    turned = {"task": "HumanoidSteering", "settings": ["task.facing=any"]}
    listed.write_text(yaml.safe_dump({"tasks": {"HumanoidSteering": {}, "Turned": turned}}))
    table, trainer = suite(listed, Trainer(), "seeds=1"), Trainer()
    first, second = (results()["tasks"][name]["seeds"]["0"] for name in ("HumanoidSteering", "Turned"))
    assert first["arguments"] == ["task=HumanoidSteering", "seed=0"] and second["run"] == "runs/Turned/seed0"
    assert second["arguments"] == [*first["arguments"], "task.facing=any"] and "| Turned |" in table
    suite(listed, trainer, "seeds=1")
    assert trainer.calls == [], "nothing is missing"


def test_the_shipped_list_can_be_used():
    plan = make_plan(["out=out"])
    assert plan.seeds == 3 and plan.episodes == 512 and len(plan.tasks) == len(plan.entries) >= 3
    assert make_plan(["out=out", "quick=true"]).seeds == 1
    assert all(stored_result(plan, task, "seed0") is None for task in plan.tasks)


SKILL = {
    "tracker": ["task=HumanoidTracking"],
    "skill": ["task=HumanoidAMP", "train.distillation.tracker={out}/tracker"],
}


def test_the_skill_of_all_tasks_may_be_trained_first_and_once(tmp_path, listed):
    listed.write_text(yaml.safe_dump(yaml.safe_load(listed.read_text()) | {"skill": SKILL}, sort_keys=False))
    killed, trainer = Trainer(killed_at=2), Trainer()
    with pytest.raises(Killed):
        suite(listed, killed, "seeds=1", "skill=train")
    assert json.loads(Path("out/runs/skill/result.json").read_text())["trained"] is False
    table = suite(listed, trainer, "seeds=1", "skill=train")
    assert killed.calls == ["train runs/tracker", "train runs/skill"]
    assert trainer.calls[:2] == ["train runs/skill", "train HumanoidLocation/seed0"]
    runs = Path("out").resolve() / "runs"
    assert f"skill={runs / 'skill' / 'skill.pt'}" in results()["tasks"]["HumanoidLocation"]["seeds"]["0"]["arguments"]
    assert "skill=none" in results()["tasks"]["HumanoidLocation"]["flat"]["0"]["arguments"]
    made = json.loads((runs / "skill" / "result.json").read_text())["arguments"]
    assert made == ["task=HumanoidAMP", f"train.distillation.tracker={runs / 'tracker'}"]
    assert "Before: tracker, 2 minutes, 0.0 million control steps. Before: skill, 2 minutes" in table
    again = Trainer()
    suite(listed, again, "seeds=1", "skill=train")
    assert again.calls == []
    for task in TASKS:
        shutil.rmtree(runs / task)
    with pytest.raises(ConfigError, match="tracker was made with task=HumanoidTracking, not .* max_iterations=2"):
        quick = yaml.safe_load(listed.read_text()) | {"quick": {"settings": ["max_iterations=2"]}}
        listed.write_text(yaml.safe_dump(quick, sort_keys=False))
        suite(listed, Trainer(), "seeds=1", "tasks=HumanoidTrajectory", "skill=train", "quick=true")


def test_a_skill_that_cannot_be_had_is_refused(listed):
    with pytest.raises(ConfigError, match="does not say how"):
        suite(listed, Trainer(), "skill=train")
    with pytest.raises(IsaacHRLError, match="there is no file or run nowhere|no skill file nowhere"):
        suite(listed, Trainer(), "skill=nowhere.pt")


def test_an_interrupt_ends_the_training_of_the_skill(monkeypatch, listed):
    listed.write_text(yaml.safe_dump(yaml.safe_load(listed.read_text()) | {"skill": SKILL}, sort_keys=False))
    call = TrainPy(None)
    monkeypatch.setattr(TrainPy, "__call__", lambda *_: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        suite(listed, call, "seeds=1", "skill=train")
    assert call._stopped
