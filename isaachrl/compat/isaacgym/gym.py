"""The API's one object, and the names that it refuses."""

from collections.abc import Callable
from typing import Any, NoReturn

from isaachrl.compat.isaacgym.gym_actors import ActorMethods
from isaachrl.compat.isaacgym.gym_assets import AssetMethods
from isaachrl.compat.isaacgym.gym_graphics import GraphicsMethods
from isaachrl.compat.isaacgym.gym_joints import JointMethods
from isaachrl.compat.isaacgym.gym_tensors import TensorMethods
from isaachrl.compat.isaacgym.structs import Version

_READ = "read the state from the tensor that an acquire method returns"
_WRITE = "write the state through set_dof_state_tensor or set_actor_root_state_tensor"
_IMAGES = "cameras do not render images"
_SOFT = "soft bodies, particles and pneumatics are not simulated"
REFUSED: dict[str, list[str]] = {
    _SOFT: [
        "acquire_particle_state_tensor",
        "acquire_pneumatic_pressure_tensor",
        "acquire_pneumatic_target_tensor",
        "create_cloth_grid",
        "create_tet_grid",
        "get_actor_soft_body_count",
        "get_actor_soft_materials",
        "get_actor_tetrahedra_range",
        "get_actor_triangle_range",
        "get_asset_soft_materials",
        "get_pneumatic_pressure",
        "get_pneumatic_target",
        "get_sim_tetrahedra",
        "get_sim_tetrahedra_count",
        "get_sim_triangle_count",
        "get_sim_triangles",
        "get_soft_contacts",
        "refresh_particle_state_tensor",
        "refresh_pneumatic_pressure_tensor",
        "refresh_pneumatic_target_tensor",
        "reset_actor_particles_to_rest",
        "set_actor_soft_materials",
        "set_particle_state_tensor",
        "set_particle_state_tensor_indexed",
        "set_pneumatic_pressure",
        "set_pneumatic_pressure_tensor",
        "set_pneumatic_pressure_tensor_indexed",
        "set_pneumatic_target",
        "set_pneumatic_target_tensor",
        "set_pneumatic_target_tensor_indexed",
    ],
    _IMAGES: [
        "attach_camera_to_body",
        "create_camera_sensor",
        "create_texture_from_buffer",
        "create_texture_from_file",
        "destroy_camera_sensor",
        "end_access_image_tensors",
        "get_camera_image",
        "get_camera_image_gpu_tensor",
        "get_camera_proj_matrix",
        "get_camera_transform",
        "get_camera_view_matrix",
        "get_rigid_body_color",
        "get_rigid_body_segmentation_id",
        "get_rigid_body_texture",
        "get_viewer_camera_handle",
        "get_viewer_camera_transform",
        "get_viewer_mouse_position",
        "get_viewer_size",
        "render_all_camera_sensors",
        "set_camera_location",
        "set_camera_transform",
        "start_access_image_tensors",
        "write_camera_image_to_file",
        "write_viewer_image_to_file",
    ],
    "a tendon's joints and coefficients are those of its file, and its offset is 0": [
        "find_actor_fixed_tendon_joint_index",
        "get_actor_tendon_offset",
        "set_actor_fixed_tendon_joint_coefficients",
        "set_actor_tendon_offset",
        "set_asset_fixed_tendon_joint_coefficients",
    ],
    "files of OpenSim and USD are not read or written": [
        "create_usd_exporter",
        "destroy_usd_exporter",
        "export_usd_asset",
        "export_usd_sim",
        "get_usd_export_root",
        "load_opensim",
        "load_usd",
        "omni_connect",
        "omni_disconnect",
        "set_usd_export_root",
    ],
    "simulations are not saved or attached to": ["attach_sim", "load_sim"],
    _READ: [
        "get_actor_dof_forces",
        "get_actor_dof_position_targets",
        "get_actor_dof_states",
        "get_actor_dof_velocity_targets",
        "get_actor_force_sensor",
        "get_actor_force_sensor_count",
        "get_actor_joint_transforms",
        "get_actor_rigid_body_states",
        "get_dof_position",
        "get_dof_target_position",
        "get_dof_target_velocity",
        "get_dof_velocity",
        "get_env_rigid_body_states",
        "get_env_rigid_contact_forces",
        "get_env_rigid_contacts",
        "get_joint_position",
        "get_joint_target_position",
        "get_joint_target_velocity",
        "get_joint_transform",
        "get_joint_velocity",
        "get_rigid_angular_velocity",
        "get_rigid_contact_forces",
        "get_rigid_contacts",
        "get_rigid_linear_velocity",
        "get_sensor",
        "get_sim_rigid_body_states",
        "get_vec_actor_dof_states",
        "get_vec_env_rigid_contact_forces",
        "get_vec_rigid_angular_velocity",
        "get_vec_rigid_linear_velocity",
        "get_vec_rigid_transform",
    ],
    _WRITE: [
        "set_actor_dof_states",
        "set_actor_rigid_body_states",
        "set_env_rigid_body_states",
        "set_rigid_angular_velocity",
        "set_rigid_body_state_tensor",
        "set_rigid_linear_velocity",
        "set_rigid_transform",
        "set_sim_rigid_body_states",
    ],
    "set targets and forces through the tensor methods": [
        "apply_actor_dof_efforts",
        "apply_body_force_at_pos",
        "apply_body_forces",
        "apply_dof_effort",
        "set_actor_dof_position_targets",
        "set_actor_dof_velocity_targets",
        "set_dof_target_position",
        "set_dof_target_velocity",
        "set_joint_target_position",
        "set_joint_target_velocity",
    ],
    "attractors are part of the compiled model": [
        "get_attractor_properties",
        "set_attractor_properties",
        "set_attractor_target",
    ],
    "no task of the supported repositories uses it": [
        "create_aggregate",
        "create_performance_timers",
        "destroy_performance_timers",
        "find_actor_actuator_index",
        "find_actor_joint_handle",
        "find_asset_actuator_index",
        "get_actor_actuator_count",
        "get_actor_actuator_joint_name",
        "get_actor_actuator_name",
        "get_actor_actuator_properties",
        "get_actor_dof_frames",
        "get_actor_joint_handle",
        "get_actor_joint_index",
        "get_actor_rigid_body_shape_indices",
        "get_asset_joint_type",
        "get_asset_rigid_body_shape_indices",
        "get_dof_frame",
        "get_dof_type_string",
        "get_elapsed_time",
        "get_env_dof_count",
        "get_env_joint_count",
        "get_env_rigid_body_count",
        "get_joint_handle",
        "get_joint_name",
        "get_joint_type_string",
        "get_performance_timers",
        "get_rigid_handle",
        "get_rigid_name",
        "get_sim_joint_count",
    ],
}


class Gym(AssetMethods, ActorMethods, JointMethods, TensorMethods, GraphicsMethods):
    """The API. Methods that are not built exist, and raise `NotImplementedError` with their name and the reason."""

    def get_version(self) -> Version:
        """The version of the API."""
        return Version()


def _refused(name: str, reason: str) -> Callable[..., NoReturn]:
    """A method that is refused."""

    def method(self: Gym, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"isaacgym's Gym.{name}: {reason}")

    method.__name__, method.__doc__ = name, f"Refused: {reason}."
    return method


for _reason, _names in REFUSED.items():
    for _name in _names:
        setattr(Gym, _name, _refused(_name, _reason))
_GYM = Gym()


def acquire_gym(*args: Any, **kwargs: Any) -> Gym:
    """The one object of the API."""
    return _GYM
