"""The viewer in MuJoCo's own window: world 0, steered by keys."""

import logging
import math
import time
from collections.abc import Callable

from isaachrl.sim.window import Window
from isaachrl.view.session import Session

log = logging.getLogger(__name__)

FRAME_S = 0.015
IMPULSE_NS = 60.0
SLOW = 0.25
KEYS = "space: pause\nenter: one step\nbackspace: reset\narrows: push\n-: slow motion\n=: next command"
_SPACE, _ENTER, _BACKSPACE, _MINUS, _EQUAL = 32, 257, 259, 45, 61  # GLFW's codes
_ARROWS = {262: -math.pi / 2, 263: math.pi / 2, 265: 0.0, 264: math.pi}  # right, left, up, down


class Keys:
    """What the keys do to a session.

    Args:
        session: what is steered.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._number = session, 0
        self._names = ["the policy", *session.choices]

    @property
    def command(self) -> str:
        """Name of what is commanded."""
        return self._names[self._number]

    def __call__(self, code: int) -> None:
        """Do what the key of that GLFW code means, if anything."""
        session = self._session
        if code == _SPACE:
            session.paused = not session.paused
        elif code == _ENTER:
            session.step_once()
        elif code == _BACKSPACE:
            session.reset()
        elif code == _MINUS:
            session.speed = SLOW if session.speed == 1.0 else 1.0
        elif code == _EQUAL:
            self._number = (self._number + 1) % len(self._names)
            session.choice = session.choices.get(self.command)
        elif code in _ARROWS:
            session.push(IMPULSE_NS, _ARROWS[code])


def run_native(session: Session, stop: Callable[[], bool] = lambda: False) -> None:
    """Run a session in a window until it is closed or `stop()`.

    Raises:
        RenderError: no window can be opened.
    """
    keys, drawn = Keys(session), [-math.inf]
    window = Window(session.sim.scene, keys)
    log.info("%s", KEYS.replace("\n", ", "))

    def show() -> None:
        now = time.monotonic()
        if now - drawn[0] >= FRAME_S:
            drawn[0] = now
            sim = session.sim
            text = f"{session.time_s:.1f} s, {session.realtime:.2f} x real time, {keys.command}\n{KEYS}"
            window.show(sim.qpos[0].cpu().numpy(), sim.mocap_pos_w[0].cpu().numpy(), text)

    session.on_frame = show
    try:
        session.run(lambda: stop() or not window.is_open)
    finally:
        window.close()
