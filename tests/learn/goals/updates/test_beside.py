"""Work on a second thread."""

import threading
import time

import pytest
import torch

from isaachrl.learn.goals.updates.beside import beside


def test_work_and_body_run_at_the_same_time_and_end_together():
    meeting, seen = threading.Barrier(2, timeout=5), []

    def work():
        meeting.wait()  # the body waits here too: neither passes alone
        time.sleep(0.02)
        seen.append(threading.get_ident())

    with beside(work):
        meeting.wait()
    assert len(seen) == 1 and seen[0] != threading.get_ident()


def test_both_use_one_thread_of_pytorch():
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        with beside(lambda: seen.append(torch.get_num_threads())):
            seen.append(torch.get_num_threads())
        assert seen == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def fail(text):
    raise ValueError(text)


def test_an_error_of_the_work_surfaces_after_the_body():
    seen = []
    with pytest.raises(ValueError, match="work"), beside(lambda: fail("work")):
        seen.append("body")
    assert seen == ["body"]


def test_an_error_of_the_body_surfaces_after_the_work():
    seen = []

    def work():
        time.sleep(0.02)
        seen.append("work")

    with pytest.raises(KeyboardInterrupt), beside(work):
        raise KeyboardInterrupt
    assert seen == ["work"]
