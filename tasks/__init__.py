"""The shipped tasks; importing this package registers them."""

from isaachrl.envs import register, task_env
from isaachrl.hierarchy.build import hierarchical
from tasks.four_rooms import FourRoomsCfg, four_rooms
from tasks.humanoid_amp import HumanoidAMP, HumanoidAMPCfg
from tasks.humanoid_hrl_maze import HumanoidHRLMaze, HumanoidHRLMazeCfg
from tasks.ship_steering import ShipSteering, ShipSteeringCfg
from tasks.taxi_fuel import TaxiFuelCfg, taxi_fuel

register("HumanoidAMP", HumanoidAMPCfg, task_env(HumanoidAMP))
register("HumanoidHRLMaze", HumanoidHRLMazeCfg, hierarchical(HumanoidHRLMaze))
register("ShipSteering", ShipSteeringCfg, ShipSteering)
register("TaxiFuel", TaxiFuelCfg, taxi_fuel)
register("FourRooms", FourRoomsCfg, four_rooms)
