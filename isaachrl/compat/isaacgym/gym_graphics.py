"""Methods of the API about pictures: nothing is drawn, so they do nothing."""

from typing import Any

from isaachrl.compat.isaacgym.objects import Env, Sim, Viewer
from isaachrl.compat.isaacgym.structs import CameraProperties


class GraphicsMethods:
    """Calls that would change pictures alone; whatever would return one is refused."""

    def create_viewer(self, sim: Sim, props: CameraProperties) -> Viewer:
        """Refused: there is no viewer."""
        raise NotImplementedError("create_viewer: there is no viewer; run with headless=True or --headless")

    def begin_aggregate(self, env: Env, max_bodies: int, max_shapes: int, self_collisions: bool) -> bool:
        """Collisions need no aggregates."""
        return True

    def end_aggregate(self, env: Env) -> bool:
        """See `begin_aggregate`."""
        return True

    def query_viewer_has_closed(self, viewer: Viewer) -> bool:
        """No viewer closes."""
        return False

    def query_viewer_action_events(self, viewer: Viewer) -> list:
        """No viewer reports events."""
        return []

    def debug_print_asset(self, asset: Any, outpath: str = "") -> None:
        """Nothing is printed."""


def _nothing(self: object, *args: Any, **kwargs: Any) -> None:
    """Nothing is drawn."""


NO_OPS = [
    "add_lines",
    "clear_lines",
    "destroy_env",
    "destroy_viewer",
    "draw_env_rigid_contacts",
    "draw_env_soft_contacts",
    "draw_viewer",
    "free_texture",
    "poll_viewer_events",
    "reset_actor_materials",
    "set_light_parameters",
    "set_rigid_body_color",
    "set_rigid_body_segmentation_id",
    "set_rigid_body_texture",
    "set_sim_device",
    "step_graphics",
    "subscribe_viewer_keyboard_event",
    "subscribe_viewer_mouse_event",
    "sync_frame_time",
    "viewer_camera_look_at",
]
for _name in NO_OPS:
    setattr(GraphicsMethods, _name, _nothing)
