"""Recordings, with fakes in place of CUDA: who draws after a failure, and which lines wait for the device."""

import contextlib
import warnings

import pytest
import torch

from isaachrl.sim.cuda_graph import Recorder, host_waits, recording

GPU = torch.device("cuda", 0)


class Inside:
    """What CUDA generators point to."""

    def __init__(self, number):
        self.number, self.capturing = number, False


class FakeGenerator:
    """A CUDA generator up to PyTorch 2.12: once in a capture, it refuses to draw until the capture has ended well."""

    def __init__(self, device=GPU):
        self.device, self.inside = device, Inside(0)

    def get_state(self):
        return torch.tensor(self.inside.number)

    def set_state(self, state):
        self.inside.number = int(state)

    def graphsafe_set_state(self, other):
        self.inside = other.inside

    def draw(self):
        if self.inside.capturing:
            raise RuntimeError("Offset increment outside graph capture encountered unexpectedly.")
        self.inside.number += 1
        return self.inside.number


@pytest.fixture
def cuda(monkeypatch):
    """CUDA graphs whose capture ends badly after work that waits; returns the default generator of the device."""
    default = FakeGenerator()

    class Graph:
        invalid = False

        def register_generator_state(self, generator):
            self.generators = [generator, default]

        def capture_begin(self, **kwargs):
            for one in self.generators:
                one.inside.capturing = True

        def capture_end(self):
            if Graph.invalid:
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
            for one in self.generators:
                one.inside.capturing = False

        def replay(self):
            """Nothing was captured."""

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "default_generators", (default,))
    monkeypatch.setattr(torch, "Generator", FakeGenerator)
    return Graph, default


def test_after_a_failed_capture_the_generators_go_on_from_where_they_were(cuda):
    graph, default = cuda
    own = FakeGenerator()
    held = own  # by the environment and its task
    assert [own.draw(), own.draw(), default.draw()] == [1, 2, 1]

    def work():
        graph.invalid = True
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        Recorder(GPU, own).record(work)
    assert recording() is None
    assert [held.draw(), default.draw()] == [3, 2]


def test_a_capture_that_succeeds_leaves_the_generators_alone(cuda):
    own = FakeGenerator()
    inside = own.inside
    recorder = Recorder(GPU, own)
    assert recorder.record(lambda: 7) == 7 and len(recorder.launches) == 1
    assert own.inside is inside and own.draw() == 1


@pytest.fixture
def mode(monkeypatch):
    """The debug mode of synchronisations, kept in a list."""
    modes = [0]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    return modes


def wait():
    """What PyTorch does at a synchronisation, in the mode `warn`."""
    warnings.warn("called a synchronizing CUDA operation", stacklevel=2)


def test_lines_that_wait_are_found_and_other_warnings_go_on(mode):
    with pytest.warns(DeprecationWarning, match="soon gone") as others, host_waits(GPU) as found:
        wait()
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
        assert mode[-1] == "warn" and found == []
        wait()
    assert mode[-1] == 0
    first, second = (int(line.removeprefix(f"{__file__}:")) for line in found)
    assert second - first == 3 and len(others) == 1


def test_the_mode_comes_back_after_an_error(mode):
    with pytest.raises(ValueError), host_waits(GPU):
        raise ValueError
    assert mode == [0, "warn", 0]


def test_on_the_cpu_nothing_waits_and_no_mode_is_touched(mode):
    with host_waits(torch.device("cpu")) as found:
        torch.ones(2).sum().item()
    assert found == [] and mode == [0]


@pytest.mark.cuda
def test_after_a_capture_that_cuda_refuses_generators_draw_on_and_the_next_one_succeeds():
    device = torch.device("cuda", torch.cuda.current_device())
    own, default = torch.Generator(device).manual_seed(3), torch.cuda.default_generators[device.index]
    undisturbed = [torch.Generator(device) for _ in range(2)]
    for copy, original in zip(undisturbed, (own, default), strict=True):
        copy.set_state(original.get_state())
    for _ in range(2):
        with pytest.raises(RuntimeError):
            Recorder(device, own).record(lambda: torch.rand(3, device=device).sum().item())
        assert recording() is None
        for copy, original in zip(undisturbed, (own, default), strict=True):
            drawn = torch.rand(5, device=device, generator=original)
            assert torch.equal(drawn, torch.rand(5, device=device, generator=copy))
    assert torch.rand(5, device=device).isfinite().all()  # the default one where none is named
    recorder, x = Recorder(device, own), torch.ones(3, device=device)
    y = recorder.record(lambda: x + torch.rand(3, device=device, generator=own))
    recorder.replay()
    first = y.clone()
    recorder.replay()
    assert ((first >= 1) & (first < 2)).all() and not torch.equal(first, y)
