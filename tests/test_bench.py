"""The comparison with other libraries: rounds, ratios, missing libraries, and when a training has reached its goal."""

import io
import json
import sys
from pathlib import Path

import pytest

from isaachrl.errors import ConfigError, IsaacHRLError

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))  # as scripts there find their neighbours
    import bench

    return bench


def result(rounds, **facts):
    own = {
        "worlds": 2,
        "motors": 8,
        "senses": 3,
        "substeps": 5,
        "timestep_s": 0.01,
        "evaluations": 1,
        "version": "it 1",
    }
    measured = [{"steps": steps, "wall_s": wall, "processor_s": 1.0} for steps, wall in rounds]
    return {"facts": own | facts, "rounds": measured}


def test_ratios_are_of_neighbouring_rounds(bench):
    first = result([(100, 1.0), (100, 2.0), (100, 4.0)])
    other = result([(50, 1.0), (50, 1.0), (50, 1.0)], substeps=10)
    assert bench.rates(first, "wall_s") == [500.0, 250.0, 125.0]
    assert bench.ratio(first, other, "wall_s") == "0.50 (0.25 to 1.00)"
    assert bench.ratio(first, other, "processor_s") == "1.00 (1.00 to 1.00)"


def test_a_row_says_rates_and_differences_or_what_to_install(bench):
    first, second = result([(6000, 1.0)]), result([(3000, 1.0)], evaluations=4, timestep_s=0.003)
    title, own, other, _, missing = bench.group_rows("ant", {"ant": first, "ant_rk4": second, "ant_envpool": second})
    assert title[0] == "**Ants, steps**" and len({len(row) for row in (title, own, other, missing)}) == 1
    assert own[1:6] == ["30,000", "30,000", "2.8", "", ""]
    assert other[1:9] == [
        "15,000",
        "60,000",
        "5.6",
        "2.00 (2.00 to 2.00)",
        "2.00 (2.00 to 2.00)",
        "8",
        "3",
        "5 of 3 ms",
    ]
    assert other[-1].endswith("; 2 worlds; it 1")
    assert missing[-1] == 'not installed: pip install -e ".[bench]"'


def lines(values, signal="eval/success_rate"):
    """Lines of metrics in which every other one has the signal."""
    found = [{"iteration": i + 1, "wall_s": 60.0 * (i + 1), "samples": 1000 * (i + 1)} for i in range(2 * len(values))]
    for i, value in enumerate(values):
        found[2 * i + 1][signal] = value
    return found


@pytest.mark.parametrize(
    ("values", "minutes"),
    [
        ([0.1, 0.9, 0.9, 0.9], 8.0),  # at the end of the first three that are good enough
        ([0.95, 0.2, 0.95, 0.9, 0.85, 0.1], 10.0),  # their mean counts, and what comes after does not
        ([1.0, 0.2, 1.0, 0.2, 1.0], None),  # reached again and again, never held
        ([1.0, 1.0], None),
        ([None, 1.0, 1.0, 1.0], 8.0),
    ],
)
def test_a_goal_counts_once_it_is_held(bench, values, minutes):
    line = bench.reached(lines(values), bench.TRAININGS["antmaze"])
    assert (line and line["wall_s"] / 60.0) == minutes


def test_a_training_is_shown_from_its_metrics(bench, tmp_path):
    assert bench.training_row("antmaze", tmp_path)[:3] == ["AntMaze", "not run yet", ""]
    (tmp_path / "antmaze").mkdir()
    file = tmp_path / "antmaze" / "metrics.jsonl"
    file.write_text("\n".join(map(json.dumps, lines([0.1, 0.2]))) + "\n")
    assert bench.training_row("antmaze", tmp_path)[1:3] == ["not reached in 4.0", "0.00"]
    (tmp_path / "antmaze" / "config.yaml").write_text("max_iterations: 4\n")
    assert bench.training_row("antmaze", tmp_path)[1] == "not reached in 4.0"
    (tmp_path / "antmaze" / "config.yaml").write_text("max_iterations: 9\n")
    assert bench.training_row("antmaze", tmp_path)[1] == "not reached in 4.0, cut off at iteration 4 of 9"
    file.write_text("\n".join(map(json.dumps, lines([0.1, 1.0, 1.0, 1.0]))) + "\n")
    row = bench.training_row("antmaze", tmp_path)
    assert row[1:3] == ["8.0", "0.01"] and "train=hrl seed=0`" in row[-1]


def test_trainings_start_or_continue_and_their_arguments_exist(bench, tmp_path, monkeypatch):
    calls = []
    options = bench.Options(out=str(tmp_path))
    bench.train("umaze", options, lambda words, folder: calls.append(list(words)))
    (tmp_path / "umaze" / "checkpoints").mkdir()
    (tmp_path / "umaze" / "checkpoints" / "last.pt").touch()
    bench.train("umaze", options, lambda words, folder: calls.append(list(words)))
    assert calls[0][:3] == ["task=HumanoidHRLMaze", "task.layout=umaze", "seed=0"]
    assert calls[1] == [f"resume={tmp_path / 'umaze'}"]


def test_unknown_names_are_refused(bench, tmp_path):
    with pytest.raises(ConfigError, match=r"groups=humanoids: 'humanoids' is unknown; did you mean"):
        bench.bench([f"out={tmp_path}", "groups=humanoids"])
    with pytest.raises(ConfigError, match=r"unknown key trainngs; did you mean trainings"):
        bench.bench([f"out={tmp_path}", "trainngs=walk"])


def test_without_groups_the_trainings_are_done_and_the_page_is_filled(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "on_one_core", lambda: None)
    (tmp_path / "page.md").write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")

    def call(words, folder):
        (folder / "metrics.jsonl").write_text(
            "\n".join(map(json.dumps, lines([300.0] * 40, "episode/length_deterministic"))) + "\n"
        )

    table = bench.bench([f"out={tmp_path}", "groups=", "trainings=walk", f"page={tmp_path / 'page.md'}"], call)
    assert "| a walking humanoid | 60.0 | 0.06 |" in table and "| AntMaze | not run yet |" in table
    assert (tmp_path / "page.md").read_text() == f"before\n<!-- bench -->\n{table}<!-- /bench -->\nafter\n"
    assert (tmp_path / "bench.md").read_text() == table


def test_an_interrupt_stops_the_training(bench, tmp_path, monkeypatch):
    class Interrupted(bench.TrainPy):
        stopped = False

        def __call__(self, words, folder):
            raise KeyboardInterrupt

        def stop(self):
            Interrupted.stopped = True

    monkeypatch.setattr(bench, "on_one_core", lambda: None)
    monkeypatch.setattr(bench, "TrainPy", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.bench([f"out={tmp_path}", "groups=", "trainings=walk"])
    assert Interrupted.stopped


def served(contenders, name, folder, *seconds):
    """What a contender answers."""
    answers = io.StringIO()
    contenders.serve(name, 4, folder, io.StringIO("".join(f"{each}\n" for each in seconds)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_a_contender_tells_its_facts_and_counts_its_steps(bench, tmp_path):
    import contenders

    facts, one = served(contenders, "ant_rk4", tmp_path, 0.0)
    assert (facts["worlds"], facts["motors"], facts["substeps"], facts["evaluations"]) == (4, 8, 5, 4)
    assert one["steps"] == 4 and one["wall_s"] > 0


def test_the_engine_alone_steps_the_humanoid_of_the_project(bench, tmp_path):
    import contenders

    bench.write_humanoid(tmp_path, 4)
    facts, one = served(contenders, "mujoco", tmp_path, 0.0)
    assert (facts["motors"], facts["substeps"], facts["timestep_s"]) == (28, 4, pytest.approx(1 / 120))
    assert one["steps"] == 4 * contenders.RESTART_STEPS


def test_a_missing_library_is_said(bench, tmp_path, monkeypatch):
    import contenders

    monkeypatch.setitem(sys.modules, "envpool", None)
    for name in ("ant_envpool", "ppo_ant_envpool"):
        (answer,) = served(contenders, name, tmp_path)
        assert "envpool" in answer["missing"]


def test_every_contender_has_a_row_and_a_group(bench):
    import contenders

    assert [name for rows in bench.GROUPS.values() for name in rows] == list(contenders.BUILD)
    assert list(bench.GROUPS) == list(bench.TITLES) == bench.Options().groups.split(",")
    assert list(bench.TRAININGS) == bench.Options().trainings.split(",")


@pytest.mark.slow
def test_a_contender_is_a_process_and_its_failure_is_an_error(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "CONTENDER", tmp_path / "small.py")
    (tmp_path / "small.py").write_text(
        "import sys\nprint('{\"worlds\": 1}', flush=True)\nfor line in sys.stdin:\n"
        "    if float(line) > 1: sys.exit('it broke')\n    print('{\"steps\": 2}', flush=True)\n"
    )
    contender = bench.Contender("ant", bench.Options(), tmp_path)
    assert contender.facts == {"worlds": 1} and contender.measure(0.5) == {"steps": 2}
    with pytest.raises(IsaacHRLError, match=r"ant ended with code 1: it broke; see .*ant\.log"):
        contender.measure(2.0)
    contender.close()
