"""The viewer in a browser: bodies, buttons, sliders and plots, served by viser."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from torch.nn import functional

from isaachrl.sim import Sim
from isaachrl.sim.geometry import Geometry
from isaachrl.view.bodies import Bodies, place_camera, side_by_side
from isaachrl.view.extra import serve
from isaachrl.view.plots import Plot
from isaachrl.view.session import Session

log = logging.getLogger(__name__)

FRAME_S, PLOT_S = 0.03, 0.3
APART_M = 3.0  # between worlds without walls
POLICY = "the policy"
IMPULSE_NS = 60.0
MAX_LINES = 10  # of a plot


class WebView:
    """A page on which a session is seen and steered.

    Args:
        session: what is shown.
        port: of the server on this machine; 0 takes any free one.
        title: of the page.

    Attributes:
        server: viser's.
        gui: the page's elements by name, for tests.

    Raises:
        ConfigError: viser is not installed, or the port is taken.
    """

    def __init__(self, session: Session, port: int, title: str) -> None:
        self.session, self.server = session, serve(port, title)
        try:
            self._fill(session.sim)
        except BaseException:
            self.server.stop()
            raise
        session.on_frame = self.draw

    def _fill(self, sim: Sim) -> None:
        """Add bodies and elements."""
        self.bodies = Bodies(self.server.scene, Geometry(sim.scene), sim.num_envs)
        place_camera(self.server, sim.scene)
        self.gui: dict[str, Any] = {}
        self._drawn = self._plotted = -math.inf
        self._add_time()
        self._add_push()
        self._add_command()
        self._add_target()
        self._add_looks()
        folder = self.server.gui.add_folder("plots of world 1")
        self._terms, self._actions = (Plot(self.server.gui, folder, name) for name in ("reward terms", "command"))

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.server.get_host()}:{self.server.get_port()}"

    def close(self) -> None:
        """Stop the server."""
        self.session.on_frame = lambda: None
        self.server.stop()

    def draw(self) -> None:
        """Show the present state, if the last time was long enough ago."""
        now = time.monotonic()
        if now - self._drawn < FRAME_S:
            return
        self._drawn = now
        sim, world = self.session.sim, int(self.gui["world"].value) - 1
        qpos, mocap = sim.qpos.cpu().numpy(), sim.mocap_pos_w.cpu().numpy()
        offset = side_by_side(sim.num_envs, self.gui["apart"].value)
        with self.server.atomic():
            self.bodies.move(qpos, mocap, offset)
            if self.gui["follow"].value:
                x, y = sim.root_pos_w[world, :2].cpu().numpy() + offset[world]
                self.bodies.root.position = (-x, -y, 0.0)
        if now - self._plotted >= PLOT_S:
            self._plotted = now
            self._plot()

    def _plot(self) -> None:
        session = self.session
        self._terms.show(session.times_s, dict(list(session.terms.items())[:MAX_LINES]))
        columns = zip(*(action[:MAX_LINES].tolist() for action in session.actions), strict=True)
        self._actions.show(session.times_s, {str(number): column for number, column in enumerate(columns)})
        self.gui[
            "status"
        ].content = f"{session.time_s:.1f} s, episode {session.episodes + 1}, {session.realtime:.2f} x real time"

    def _add_time(self) -> None:
        """Pause, step, reset and speed."""
        gui, session = self.server.gui, self.session
        self.gui["status"] = gui.add_markdown("")
        pause = self.gui["pause"] = gui.add_button("pause")
        self.gui["step"] = gui.add_button("one step", visible=False)
        self.gui["reset"] = gui.add_button("reset")
        speed = self.gui["speed"] = gui.add_slider("speed", 0.1, 2.0, 0.1, 1.0, hint="below 1 is slow motion")

        def toggle(_: Any) -> None:
            session.paused = not session.paused
            pause.label = "continue" if session.paused else "pause"
            self.gui["step"].visible = session.paused

        pause.on_click(toggle)
        self.gui["step"].on_click(lambda _: session.step_once())
        self.gui["reset"].on_click(lambda _: session.reset())
        speed.on_update(lambda _: setattr(session, "speed", speed.value))

    def _add_push(self) -> None:
        gui = self.server.gui
        with gui.add_folder("push"):
            button = self.gui["push"] = gui.add_button("push")
            impulse = self.gui["impulse"] = gui.add_slider("N s", 0.0, 200.0, 5.0, IMPULSE_NS)
            angle = self.gui["angle"] = gui.add_slider("towards deg", -180.0, 180.0, 5.0, 90.0)
        button.on_click(lambda _: self.session.push(impulse.value, math.radians(angle.value)))

    def _add_command(self) -> None:
        """Menus of the motions or options, if there are any; two motions can be blended."""
        session, gui = self.session, self.server.gui
        if not session.choices:
            return
        with gui.add_folder("command"):
            menu = self.gui["choice"] = gui.add_dropdown("follow", (POLICY, *session.choices))
            other = self.gui["blend"] = gui.add_dropdown("blend with", tuple(session.choices))
            share = self.gui["share"] = gui.add_slider("share", 0.0, 1.0, 0.05, 0.0)

        def choose(_: Any) -> None:
            if menu.value == POLICY:
                session.choice = None
                return
            mixed = session.choices[menu.value].lerp(session.choices[other.value], share.value)
            session.choice = functional.normalize(mixed, dim=0)

        for element in (menu, other, share):
            element.on_update(choose)

    def _add_target(self) -> None:
        """Sliders of the task's target, if it has any."""
        session, gui = self.session, self.server.gui
        if not session.controls:
            return
        with gui.add_folder("target"):
            steer = self.gui["steer"] = gui.add_checkbox("steer", False)
            for name, (low, high) in session.controls.items():
                start = min(max(0.0, low), high)
                self.gui[name] = gui.add_slider(name, low, high, (high - low) / 200, start)

        def update(_: Any) -> None:
            values = {name: float(self.gui[name].value) for name in session.controls}
            session.target = values if steer.value else None

        for element in (steer, *(self.gui[name] for name in session.controls)):
            element.on_update(update)

    def _add_looks(self) -> None:
        """What to look at."""
        gui, sim = self.server.gui, self.session.sim
        apart = _width_of_walls_m(sim) or APART_M
        with gui.add_folder("view", expand_by_default=sim.num_envs > 1):
            self.gui["follow"] = gui.add_checkbox("follow", True)
            self.gui["world"] = gui.add_slider("world", 1, max(sim.num_envs, 1), 1, 1, visible=sim.num_envs > 1)
            self.gui["apart"] = gui.add_slider(
                "m apart", 0.0, 2 * apart, 0.5, apart, hint="0 draws all worlds in one place", visible=sim.num_envs > 1
            )

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Run the session until `stop()`."""
        log.info("open %s; on a machine behind SSH: ssh -L %d:%s:%d MACHINE", self.url, *self._tunnel())
        self.session.run(stop)

    def _tunnel(self) -> tuple[int, str, int]:
        port = self.server.get_port()
        return port, "localhost", port


def _width_of_walls_m(sim: Sim) -> float:
    """Side of the square that the boxes cover in world 0, with a margin; 0 without boxes."""
    boxes = getattr(sim.scene, "boxes", ())
    at = sim.mocap_pos_w[0, : len(boxes)].cpu().numpy()
    reach = [abs(at[i, k]) + box.half_size_m[k] for i, box in enumerate(boxes) if at[i, 2] > -1 for k in range(2)]
    return 2.0 * float(max(reach)) + 1.0 if reach else 0.0
