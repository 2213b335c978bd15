"""The report: what goes into which panel, and that a picture comes out."""

import json
import struct

import numpy as np
import pytest
from matplotlib.figure import Figure

from isaachrl.run.recording.report import _time_axis, smooth, split_panels, write_report
from isaachrl.run.storage.metrics import MetricsFile, jsonable, read_metrics


def test_smoothing_is_a_centred_mean_that_leaves_holes_out():
    values = np.array([0.0, 3.0, 6.0, np.nan, 2.0])
    np.testing.assert_allclose(smooth(values, 3), [1.5, 3.0, 4.5, 4.0, 2.0])
    np.testing.assert_allclose(smooth(values[:3], 1), values[:3])
    assert np.isnan(smooth(np.array([np.nan, np.nan, np.nan]), 3)).all()


def test_a_panel_holds_a_group_and_lines_of_comparable_size():
    series = {
        "reward/a": np.array([1.0, 2.0]), "loss/x": np.array([1.0]), "reward/b": np.array([0.5]),
        "reward/huge": np.array([900.0]), "plain": np.array([1.0]),
    }  # fmt: skip
    panels = {name: list(lines) for name, lines in split_panels(series).items()}
    assert panels == {"reward (1 of 2)": ["huge"], "reward (2 of 2)": ["a", "b"], "loss": ["x"], "run": ["plain"]}


def test_a_panel_holds_few_lines():
    series = {f"g/{i}": np.array([1.0]) for i in range(9)}
    assert [len(lines) for lines in split_panels(series).values()] == [4, 4, 1]


def test_picture_is_a_png_whose_height_follows_the_panels(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    write_report(metrics.path, tmp_path / "report.png", "Point")
    assert not (tmp_path / "report.png").exists()  # nothing to draw yet
    for i in range(1, 60):
        signals = {f"group{g}/value": float(np.sin(i / 9 + g)) for g in range(4)} | {"group0/odd": float("nan")}
        metrics.append({"iteration": i, "samples": 100 * i, "wall_s": 2.0 * i} | signals)
    write_report(metrics.path, tmp_path / "report.png", "Point")
    data = (tmp_path / "report.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (1200, 568)  # 3 columns of 5 inches, 0.7 + 2 rows of 3.2 inches, 80 dpi
    assert 20_000 < len(data) < 1_000_000


@pytest.mark.parametrize(("end", "unit", "last"), [(0.5, "seconds", 30.0), (50.0, "minutes", 50.0)])
def test_short_runs_are_shown_in_seconds(end, unit, last):
    figure = Figure()
    axes = figure.add_subplot()
    samples = np.linspace(1.0, 1000.0, 20)
    axes.plot(samples, samples)
    _time_axis(axes, samples, np.linspace(1e-6, end, 20))
    (top,) = axes.child_axes
    figure.draw_without_rendering()
    assert top.get_xlabel() == unit and top.get_xlim()[1] == pytest.approx(last, rel=0.06)
    assert len([tick for tick in top.get_xticks() if 0.0 <= tick <= last]) <= 6


def test_signals_that_come_and_go_are_drawn(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for i in range(1, 6):
        metrics.append({"iteration": i, "samples": i, "wall_s": float(i)} | ({"late/x": 1.0} if i > 3 else {}))
    write_report(metrics.path, tmp_path / "report.png", "Point")
    assert (tmp_path / "report.png").exists()


def test_metrics_are_cut_after_an_iteration(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"iteration": 1, "x": 0.1}\n{"iteration": 2, "x": 0.2}\n{"iteration": 3, "x": 0.3}\n{"iterat')
    metrics = MetricsFile(path, keep=2)
    metrics.append({"iteration": 3, "x": float("inf")})
    assert read_metrics(path) == [{"iteration": 1, "x": 0.1}, {"iteration": 2, "x": 0.2}, {"iteration": 3, "x": None}]


def test_non_finite_numbers_become_null_at_any_depth():
    assert jsonable({"a": {"b": [1.5, float("nan")]}, "c": float("-inf"), "d": "x"}) == {
        "a": {"b": [1.5, None]}, "c": None, "d": "x",
    }  # fmt: skip


def test_a_resumed_run_keeps_its_lines_as_they_are_and_reads_only_the_last(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    kept = "".join(f'{{"iteration":{i},   "x":{i}e-1}}\n' for i in range(1, 50_001))
    path.write_text(kept + '{"iteration": 50001}\n{"iteration": 50002}\n{"iter\n[3]\n{"iteration": 5')
    read = []
    monkeypatch.setattr(
        "isaachrl.run.storage.metrics.json.loads",
        lambda line: read.append(line) or json.JSONDecoder().decode(line.decode()),
    )
    MetricsFile(path, keep=50_000)
    assert path.read_text() == kept
    assert len(read) <= 6
    for keep, left in ((0, ""), (1, kept.splitlines(keepends=True)[0])):
        path.write_text(kept[:1000])
        MetricsFile(path, keep=keep)
        assert path.read_text() == left
    path.write_text("")
    MetricsFile(path, keep=7).append({"iteration": 8})
    assert read_metrics(path) == [{"iteration": 8}]


def test_metrics_that_are_a_link_are_not_followed(tmp_path):
    (tmp_path / "mine.txt").write_text("mine\n")
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "mine.txt")
    MetricsFile(tmp_path / "metrics.jsonl", keep=0).append({"iteration": 1})
    assert (tmp_path / "mine.txt").read_text() == "mine\n" and read_metrics(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("width", [1, 3000])  # lines shorter and longer than usual
@pytest.mark.parametrize("count", [0, 1, 2, 19, 20, 21, 400])
def test_a_long_record_is_thinned_evenly_from_its_first_to_its_last_line(tmp_path, count, width):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"iteration": i, "x": "y" * width}) + "\n" for i in range(count)) + '{"iter')
    found = [record["iteration"] for record in read_metrics(path, 20)]
    assert found == sorted(set(found)) and len(found) <= 23
    if count < 20:
        assert found == list(range(count))
    else:
        assert found[0] == 0 and found[-1] == count - 1
        assert max(np.diff(found)) <= max(count / 20 + 2, 2)


def test_a_picture_of_many_iterations_is_drawn_of_few_of_them(tmp_path, monkeypatch):
    path, drawn = tmp_path / "metrics.jsonl", []
    lines = [json.dumps({"iteration": i, "samples": 9 * i, "wall_s": float(i), "a/b": i % 7}) for i in range(1, 40_001)]
    path.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr("isaachrl.run.recording.report.draw", lambda records, title: drawn.extend(records) or b"")
    write_report(path, tmp_path / "report.png", "Point")
    assert len(drawn) <= 1502 and drawn[-1]["iteration"] == 40_000
    assert np.mean([record["a/b"] for record in drawn]) == pytest.approx(3.0, abs=0.2)
