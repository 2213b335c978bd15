"""When something is due again, by a clock that a test sets."""

import pytest

from isaachrl.run.loop.periodic import Periodic


class Clock:
    """Shows what it was set to."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("took", "again"),
    [
        (1.0, 31.0),  # twice the first pause after its end at 11
        (6.0, 136.0),  # 6 s are a twentieth of 120 s after its end at 16
    ],
)
def test_due_at_first_then_after_a_pause_that_grows_with_what_it_takes(took, again):
    clock = Clock()
    saving = Periodic(first_s=10.0, every_s=100.0, share=0.05, clock=clock)
    assert not saving.due()
    clock.now = 10.0
    assert saving.due()
    with saving.measured():
        clock.now += took
    for now, due in ((again - 0.01, False), (again + 0.01, True), (again + 1000.0, True)):
        clock.now = now
        assert saving.due() == due


def test_done_before_it_is_due_it_is_put_off():
    clock = Clock()
    saving = Periodic(first_s=10.0, every_s=100.0, share=0.5, clock=clock)
    clock.now = 5.0
    with saving.measured():
        clock.now = 6.0
    clock.now = 25.0
    assert not saving.due()
    clock.now = 26.0
    assert saving.due()


def test_the_pause_doubles_up_to_its_length():
    clock = Clock()
    saving = Periodic(first_s=5.0, every_s=30.0, share=1.0, clock=clock)
    times = []
    for second in range(130):
        clock.now = float(second)
        if saving.due():
            with saving.measured():
                times.append(second)
    assert times == [5, 15, 35, 65, 95, 125]
