"""Environments that memory does not hold are refused before they are built; control groups are limits, too."""

import gc
import mmap
from types import SimpleNamespace

import pytest
import torch

import isaachrl
import tasks  # noqa: F401 - registers FourRooms
from isaachrl import memory
from isaachrl.envs import world_bytes
from isaachrl.errors import ConfigError

CPU = torch.device("cpu")


@pytest.fixture
def build(monkeypatch):
    """Makes environments of 1 MB each, beside 10 MB that all need together; `build.counts` says how many, so far."""

    def build(count):
        build.counts.append(count)
        return SimpleNamespace(step=lambda action: None, action_size=1, device=CPU)

    build.counts = []
    monkeypatch.setattr(world_bytes.gc, "collect", lambda: None)
    monkeypatch.setattr(world_bytes, "_used_bytes", lambda device: 10**7 + build.counts[-1] * 10**6)
    return build


def test_too_many_environments_are_refused_before_they_are_built(build, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 10**9)
    with pytest.raises(
        ConfigError, match=r"num_envs=2001: .* needs 1.9 GiB .* 0.9 GiB are free; there is room for 1000 without "
    ):
        world_bytes.require_room(2001, "auto", CPU, build)
    assert build.counts == [64, 256]  # which showed it
    world_bytes.require_room(1000, "auto", CPU, build)


def test_no_environment_is_built_when_the_answer_is_known(build, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 10**9)
    world_bytes.require_room(900, "auto", CPU, build)
    monkeypatch.setattr(memory, "available_bytes", lambda device: 10)
    world_bytes.require_room(64, "auto", CPU, build)
    monkeypatch.setattr(memory, "available_bytes", lambda device: None)
    world_bytes.require_room(10**20, "auto", CPU, build)
    assert build.counts == []


def test_worlds_are_built_until_their_memory_is_measurable(build, monkeypatch):
    monkeypatch.setattr(world_bytes, "_used_bytes", lambda device: build.counts[-1] * 1000)
    assert world_bytes.bytes_per_env(10**20, CPU, build, 10**9) == 1000
    assert build.counts[-1] == 64 * 4**6  # 2**27 bytes are seen there, not before
    build.counts.clear()
    assert world_bytes.bytes_per_env(10**5, CPU, build, 10**11) == 1000  # or until so many surely fit
    assert build.counts == [64, 256]


def group(folder, limit, usage, reclaimable):
    folder.mkdir(parents=True, exist_ok=True)
    stat = f"anon 5\ninactive_file {reclaimable}\nactive_file 3"
    names = {"memory.max": limit, "memory.current": usage, "memory.stat": stat}
    for name, text in names.items():
        (folder / name).write_text(str(text))


def test_the_narrowest_limit_counts(monkeypatch, tmp_path):
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    (proc / "self/cgroup").write_text("3:cpuset:/\n0::/user/job\n")
    monkeypatch.setattr(memory, "PROC", proc)
    monkeypatch.setattr(memory, "CGROUPS", groups)
    assert memory.available_bytes(CPU) == 8_192_000  # the machine's: no group is to be seen
    group(groups / "user/job", "max", 10, 0)
    group(groups / "user", 5_000_000, 3_000_000, 500_000)
    assert memory.available_bytes(CPU) == 2_500_003
    (groups / "memory").mkdir()
    (groups / "memory/memory.limit_in_bytes").write_text("1000000")
    (groups / "memory/memory.usage_in_bytes").write_text("2000000")
    (groups / "memory/memory.stat").write_text("inactive_file 0\nactive_file 0")
    (proc / "self/cgroup").write_text("4:cpu,memory:/elsewhere\n")
    assert memory.available_bytes(CPU) == 0


def test_resident_memory_of_this_process_is_read():
    if not memory.PROC.is_dir():
        pytest.skip("not Linux")
    gc.collect()
    before = world_bytes._used_bytes(CPU)
    # not `torch.ones`, which may be given what other tests have left; some of that may be freed meanwhile, too
    with mmap.mmap(-1, 2**28, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        assert world_bytes._used_bytes(CPU) - before > 0.5 * len(held)


def test_make_refuses_more_environments_than_fit(monkeypatch):
    used = iter([0, 192_000])  # with 64 and with 256 environments
    monkeypatch.setattr(world_bytes, "_used_bytes", lambda device: next(used))
    monkeypatch.setattr(world_bytes, "MIN_GROWTH_BYTES", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda device: 10**6)
    with pytest.raises(ConfigError, match=r"num_envs=1001: .* there is room for 1000 without the learner"):
        isaachrl.make("FourRooms", num_envs=1001, device="cpu")
    assert isaachrl.make("FourRooms", num_envs=64, device="cpu").num_envs == 64
