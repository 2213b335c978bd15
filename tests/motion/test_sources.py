import numpy as np
import pytest

from isaachrl.errors import ClipError
from isaachrl.motion import sources
from isaachrl.motion.library import MotionLibrary
from isaachrl.motion.sources import load_motion
from isaachrl.sim import load_robot


@pytest.fixture
def folder(make_clip, tmp_path):
    for name in ("walk", "run"):
        make_clip([[0, 0, 1]] * 2).save(tmp_path / f"{name}.npz")
    return tmp_path


def names(clips):
    return [clip.name for clip in clips]


def test_a_file_and_a_folder(folder, robot):
    clips, weights = load_motion(folder / "walk.npz", robot)
    assert (names(clips), weights) == (["walk"], [1.0])
    clips, weights = load_motion(str(folder), robot)
    assert (names(clips), weights) == (["run", "walk"], [1.0, 1.0])


@pytest.mark.parametrize(
    "text",
    ["clips: [{file: walk.npz, weight: 2.5}, {file: ../{here}/run.npz}]", "walk.npz: 2.5\n../{here}/run.npz: 1"],
)
def test_a_list_with_weights_and_relative_paths(folder, robot, text):
    (folder / "set.yaml").write_text(text.replace("{here}", folder.name))
    clips, weights = load_motion(folder / "set.yaml", robot)
    assert (names(clips), weights) == (["walk", "run"], [2.5, 1.0])


def test_builtin_reads_the_shipped_folder(folder, robot, monkeypatch):
    monkeypatch.setattr(sources, "BUILTIN_FOLDER", folder)
    assert names(load_motion("builtin", robot)[0]) == ["run", "walk"]
    monkeypatch.setattr(sources, "BUILTIN_FOLDER", folder / "none")
    with pytest.raises(ClipError, match="built-in motions are missing"):
        load_motion("builtin", robot)


def test_missing_files_name_what_is_there(folder, robot):
    with pytest.raises(ClipError, match=r"wlak\.npz does not exist .*did you mean walk\.npz"):
        load_motion(folder / "wlak.npz", robot)
    (folder / "set.yaml").write_text("rnu.npz: 1")
    with pytest.raises(ClipError, match=r"rnu\.npz does not exist .*did you mean run\.npz"):
        load_motion(folder / "set.yaml", robot)
    with pytest.raises(ClipError, match="nor does its folder"):
        load_motion(folder / "no" / "walk.npz", robot)


def test_empty_folders_and_unknown_suffixes_are_refused(folder, robot):
    (folder / "empty").mkdir()
    with pytest.raises(ClipError, match=r"holds no clips: expected files ending in \.npz or \.npy"):
        load_motion(folder / "empty", robot)
    (folder / "walk.bvh").touch()
    with pytest.raises(ClipError, match=r"no motion format has the suffix '\.bvh'"):
        load_motion(folder / "walk.bvh", robot)


def test_weights_may_have_exponents(folder, robot):
    (folder / "set.yaml").write_text("walk.npz: 1e-3\nrun.npz: 2.5e+1")
    assert load_motion(folder / "set.yaml", robot)[1] == [1e-3, 25.0]


ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join(9 * [f'*a{i - 1}'])}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES, "holds no aliases"),
        (repr(ALIASES).replace("'", '"'), "is no entry"),
        ("walk.npz: &w {x: 1}\nrun.npz: {<<: [*w, *w]}", "holds no aliases"),
        ("[" * 500_000, "nests deeper"),
        ("- " * 200_000, "nests deeper"),
        ("{a: " * 100_000, "nests deeper"),
        ("walk.npz: 1" + 1500 * ":59", "more than 1000 characters"),
        ("walk.npz: 0x" + "f" * 900, "must be a number of at least 0"),
        ("walk.npz: 1e308\nrun.npz: 1e308", "must be a number of at least 0"),
        ("walk.npz: .nan", "must be a number of at least 0"),
        ("walk.npz: true", "must be a number of at least 0"),
        ("walk.npz: 1\nwalk.npz: 2", "a key occurs twice"),
        ("{? [a, b] : 1}", "cannot be read as YAML"),
        ("clips: [{file: !!binary YQ==}]", "b'a' is no name of a file"),
        ('clips: [{file: "\\e[2J.npz"}]', "is no name of a file"),
        ("~: 1", "None is no name of a file"),
        ("5", "5 is no entry"),
        ("clips: !!set {a, b}", "is no entry"),
        ("clips: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("clips: [{file: '${oc.env:HOME}.npz'}]", r"\$\{oc.env:HOME\}.npz does not exist"),
        ("clips: [{file: '" + 200 * "${a:" + "'}]", "File name too long"),
        ("#" * 1_000_001, "larger than"),
    ],
    ids=range(22),
)
def test_hostile_lists_are_refused_at_once(folder, robot, text, message):
    (folder / "set.yaml").write_text(text)
    with pytest.raises(ClipError, match=message) as error:
        load_motion(folder / "set.yaml", robot)
    assert str(error.value).isprintable() and len(str(error.value)) < 2000


@pytest.mark.parametrize("spec", ["", "~nobody/walk.npz", "a\0b", "a\0b.npz", "n" * 300, "n/" * 3000, "/dev/zero"])
def test_words_that_are_no_path_are_refused(robot, spec):
    with pytest.raises(ClipError, match="motion"):
        load_motion(spec, robot)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no clips"),
        ("clips: []", "names no clips"),
        ("clips: [walk.npz]", "'walk.npz' is no entry"),
        ("clips: [{file: walk.npz, wieght: 2}]", "is no entry"),
        ("walk.npz: much", "the weight of walk.npz must be a number of at least 0, got 'much'"),
        ("walk.npz: -1", "must be a number of at least 0"),
        ("a: [", "cannot be read as YAML"),
        ("clips: [{file: walk.npz}, {file: ./walk.npz}]", "has two clips called 'walk'"),
    ],
)
def test_broken_lists_are_refused(folder, robot, text, message):
    (folder / "set.yaml").write_text(text)
    with pytest.raises(ClipError, match=message):
        load_motion(folder / "set.yaml", robot)


def test_pickles_and_other_robots_are_refused(folder, robot, make_clip):
    np.savez(folder / "bad.npz", fps=np.array([{}], dtype=object))
    with pytest.raises(ClipError, match=r"bad\.npz"):
        load_motion(folder / "bad.npz", robot)
    clip = make_clip([[0, 0, 1]] * 2)
    short = clip.joint_names[1:]
    sources.Clip("few", 10.0, short, clip.body_names, clip.root_pos_w, clip.root_quat_w, clip.joint_quat[:, 1:]).save(
        folder / "few.npz"
    )
    with pytest.raises(ClipError, match="clip 'few' does not fit 'humanoid'"):
        load_motion(folder / "few.npz", robot)


def test_a_motion_of_another_body_is_answered_with_how_it_is_imported(folder):
    g1, command = load_robot("g1"), "type mode=import motion={} robot=g1 run_dir=runs/g1, then motion=runs/g1 "
    with pytest.raises(ClipError, match="clip 'cmu_walk' does not fit 'g1'.*" + command.format("cmu")):
        load_motion("cmu", g1)
    (folder / "walk.bvh").write_text("HIERARCHY")
    with pytest.raises(ClipError, match=command.format(folder / "walk.bvh")):
        load_motion(folder / "walk.bvh", g1)


def test_a_shipped_clip_or_list_answers_to_its_name(robot):
    assert names(load_motion("walk", robot)[0]) == ["walk"]
    clips, weights = load_motion("locomotion", robot)
    assert "stand" in names(clips) and max(weights) > min(weights)


def test_a_folder_hides_a_shipped_name_only_if_it_has_clips(folder, robot, monkeypatch, caplog):
    monkeypatch.chdir(folder)
    (folder / "walk").mkdir()
    assert names(load_motion("walk", robot)[0]) == ["walk"] and not caplog.text
    (folder / "run.npz").rename(folder / "walk" / "run.npz")
    assert names(load_motion("walk", robot)[0]) == ["run"]
    assert "motion=walk is the folder" in caplog.text and "not the shipped motion" in caplog.text
    (folder / "empty").mkdir()
    with pytest.raises(ClipError, match="holds no clips"):
        load_motion("empty", robot)


def test_a_misspelt_shipped_motion_is_answered_with_the_shipped_ones(robot, tmp_path, monkeypatch):
    (tmp_path / "wulk").mkdir()  # what lies about in the working folder is no motion
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClipError, match=r"no motion 'wlk'.*did you mean walk") as error:
        load_motion("wlk", robot)
    assert "wulk" not in str(error.value) and "locomotion" in str(error.value)


def test_a_list_takes_parts_of_clips(folder, robot, make_clip):
    make_clip([[0, 0, 1 + 0.01 * frame] for frame in range(61)]).save(folder / "walk.npz")
    whole = load_motion(folder / "walk.npz", robot)[0][0]
    (folder / "set.yaml").write_text(f"clips: [{{file: walk.npz, start_s: {10 / whole.fps}, end_s: {20 / whole.fps}}}]")
    (part,), weights = load_motion(folder / "set.yaml", robot)
    assert weights == [1.0] and part.num_frames == 11 and not part.loop and part.name == "walk"
    np.testing.assert_array_equal(part.root_pos_w, whole.root_pos_w[10:21])
    (folder / "set.yaml").write_text("clips: [{file: walk.npz, start_s: 99}]")
    with pytest.raises(ClipError, match="nothing is left from start_s=99 until end_s=inf"):
        load_motion(folder / "set.yaml", robot)
    (folder / "set.yaml").write_text("clips: [{file: walk.npz, end_s: -1}]")
    with pytest.raises(ClipError, match="the end_s of walk.npz must be a number of at least 0"):
        load_motion(folder / "set.yaml", robot)


def test_the_versatile_list_has_twenty_motions(robot):
    clips, _ = load_motion("versatile", robot)
    commands = [clip.name for clip in clips if clip.command]
    assert len({name.removesuffix("_left").removesuffix("_right").split("rise_")[0] for name in commands}) == 20
    assert {clip.name for clip in clips} - set(commands) == {
        "accelerate", "brake", "about_left", "about_right",
    }  # fmt: skip


def test_a_list_says_which_clips_only_lead_to_others(folder, robot):
    (folder / "set.yaml").write_text("clips: [{file: walk.npz}, {file: run.npz, command: false}]")
    clips, _ = load_motion(folder / "set.yaml", robot)
    assert [clip.command for clip in clips] == [True, False]
    assert MotionLibrary(clips, robot, "cpu").commands.tolist() == [True, False]
    (folder / "set.yaml").write_text("clips: [{file: walk.npz, command: 0}]")
    with pytest.raises(ClipError, match="the command of walk.npz must be true or false, got 0"):
        load_motion(folder / "set.yaml", robot)
