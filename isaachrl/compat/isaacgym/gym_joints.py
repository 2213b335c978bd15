"""Methods of the API about joints, of which each body but the root has one: fixed ones too."""

from isaachrl.compat.isaacgym.enums import IndexDomain
from isaachrl.compat.isaacgym.gym_actors import actor_of, place
from isaachrl.compat.isaacgym.gym_assets import index_of
from isaachrl.compat.isaacgym.objects import Actor, Asset, Env


class JointMethods:
    """Querying the joints of assets and actors."""

    def get_asset_joint_count(self, asset: Asset) -> int:
        """Number of joints."""
        return len(asset.joint_names)

    def get_asset_joint_names(self, asset: Asset) -> list[str]:
        """Names of the joints."""
        return list(asset.joint_names)

    def get_asset_joint_name(self, asset: Asset, index: int) -> str:
        """The name of a joint."""
        return asset.joint_names[index]

    def get_asset_joint_dict(self, asset: Asset) -> dict[str, int]:
        """Joints by name."""
        return {name: i for i, name in enumerate(asset.joint_names)}

    def find_asset_joint_index(self, asset: Asset, name: str) -> int:
        """The number of a joint, -1 if there is none of that name."""
        return index_of(asset.joint_names, name)

    def get_actor_joint_count(self, env: Env, handle: int) -> int:
        """Number of joints of an actor."""
        return _joints(actor_of(env, handle))

    def get_actor_joint_names(self, env: Env, handle: int) -> list[str]:
        """Names of an actor's joints."""
        return self.get_asset_joint_names(actor_of(env, handle).asset)

    def get_actor_joint_dict(self, env: Env, handle: int) -> dict[str, int]:
        """An actor's joints by name."""
        return self.get_asset_joint_dict(actor_of(env, handle).asset)

    def find_actor_joint_index(self, env: Env, handle: int, name: str, domain: IndexDomain) -> int:
        """The number of a joint in the actor, the environment or the simulation, -1 if there is none of that name."""
        index = index_of(actor_of(env, handle).asset.joint_names, name)
        return index if index < 0 else place(env, handle, domain, _joints, index)


def _joints(actor: Actor) -> int:
    """Number of joints of an actor."""
    return len(actor.asset.joint_names)
