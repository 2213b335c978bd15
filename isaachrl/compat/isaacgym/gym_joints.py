"""Methods of the API about joints, of which each body but the root has one, fixed ones too, and about fixed tendons."""

import copy

from isaachrl.compat.isaacgym.enums import IndexDomain
from isaachrl.compat.isaacgym.gym_actors import actor_of, changed, place
from isaachrl.compat.isaacgym.gym_assets import index_of
from isaachrl.compat.isaacgym.objects import Actor, Asset, Env
from isaachrl.compat.isaacgym.structs import TendonProperties
from isaachrl.errors import ConfigError


class JointMethods:
    """Joints and tendons of assets and actors."""

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

    def get_asset_tendon_count(self, asset: Asset) -> int:
        """Number of fixed tendons."""
        return len(asset.model.tendons)

    def get_asset_tendon_name(self, asset: Asset, index: int) -> str:
        """The name of a tendon."""
        return asset.model.tendons[index].name

    def find_asset_tendon_index(self, asset: Asset, name: str) -> int:
        """The number of a tendon, -1 if there is none of that name."""
        return index_of([tendon.name for tendon in asset.model.tendons], name)

    def get_asset_fixed_tendon_joint_name(self, asset: Asset, tendon: int, index: int) -> str:
        """The name of one of a tendon's joints."""
        return asset.model.tendons[tendon].joints[index]

    def get_asset_fixed_tendon_joint_coefficients(self, asset: Asset, tendon: int) -> list[float]:
        """The coefficients of a tendon's joints."""
        return list(asset.model.tendons[tendon].coefficients)

    def get_asset_tendon_properties(self, asset: Asset) -> list[TendonProperties]:
        """Copies of the properties of the tendons."""
        return [copy.copy(tendon) for tendon in asset.tendon_props]

    def set_asset_tendon_properties(self, asset: Asset, props: list[TendonProperties]) -> bool:
        """Set the properties of the tendons, for actors created from now on."""
        asset.tendon_props = _tendons(props, asset, "asset")
        return True

    def get_actor_tendon_count(self, env: Env, handle: int) -> int:
        """Number of fixed tendons of an actor."""
        return len(actor_of(env, handle).tendon_props)

    def get_actor_tendon_name(self, env: Env, handle: int, index: int) -> str:
        """The name of an actor's tendon."""
        return self.get_asset_tendon_name(actor_of(env, handle).asset, index)

    def find_actor_tendon_index(self, env: Env, handle: int, name: str) -> int:
        """The number of an actor's tendon, -1 if there is none of that name."""
        return self.find_asset_tendon_index(actor_of(env, handle).asset, name)

    def get_actor_fixed_tendon_joint_name(self, env: Env, handle: int, tendon: int, index: int) -> str:
        """The name of one of the joints of an actor's tendon."""
        return self.get_asset_fixed_tendon_joint_name(actor_of(env, handle).asset, tendon, index)

    def get_actor_fixed_tendon_joint_coefficients(self, env: Env, handle: int, tendon: int) -> list[float]:
        """The coefficients of the joints of an actor's tendon."""
        return self.get_asset_fixed_tendon_joint_coefficients(actor_of(env, handle).asset, tendon)

    def get_actor_tendon_properties(self, env: Env, handle: int) -> list[TendonProperties]:
        """Copies of the properties of an actor's tendons."""
        return [copy.copy(tendon) for tendon in actor_of(env, handle).tendon_props]

    def set_actor_tendon_properties(self, env: Env, handle: int, props: list[TendonProperties]) -> bool:
        """Set the properties of an actor's tendons."""
        actor = actor_of(env, handle)
        actor.tendon_props = _tendons(props, actor.asset, "actor")
        changed(env, handle)
        return True


def _tendons(props: list[TendonProperties], asset: Asset, of: str) -> list[TendonProperties]:
    """Copies of properties of all tendons.

    Raises:
        ConfigError: there are more or fewer than tendons.
    """
    if len(props) != len(asset.tendon_props):
        raise ConfigError(
            f"set_{of}_tendon_properties: {len(props)} properties came for {len(asset.tendon_props)} tendons; change"
            f" the list of get_{of}_tendon_properties and hand it back"
        )
    return [copy.copy(tendon) for tendon in props]


def _joints(actor: Actor) -> int:
    """Number of joints of an actor."""
    return len(actor.asset.joint_names)
