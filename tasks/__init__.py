"""The shipped tasks; importing this package registers them."""

from isaachrl.envs import register, task_env
from isaachrl.hierarchy.build import hierarchical
from tasks.ant_course import AntCourse, course_cfg
from tasks.ant_gather import AntGather, AntGatherCfg
from tasks.common.courses import Course
from tasks.four_rooms import FourRoomsCfg, four_rooms
from tasks.humanoid_amp import HumanoidAMP, HumanoidAMPCfg
from tasks.humanoid_hrl_maze import HumanoidHRLMaze, HumanoidHRLMazeCfg
from tasks.humanoid_rise import HumanoidRiseCfg
from tasks.ship_steering import ShipSteering, ShipSteeringCfg
from tasks.taxi_fuel import TaxiFuelCfg, taxi_fuel

register("HumanoidAMP", HumanoidAMPCfg, task_env(HumanoidAMP))
register("HumanoidRise", HumanoidRiseCfg, task_env(HumanoidAMP))
register("HumanoidHRLMaze", HumanoidHRLMazeCfg, hierarchical(HumanoidHRLMaze))
register("AntMaze", course_cfg("AntMazeCfg", Course.maze), task_env(AntCourse))
register("AntPush", course_cfg("AntPushCfg", Course.push), task_env(AntCourse))
register("AntFall", course_cfg("AntFallCfg", Course.fall), task_env(AntCourse))
register("AntFourRooms", course_cfg("AntFourRoomsCfg", Course.four_rooms), task_env(AntCourse))
register("AntGather", AntGatherCfg, task_env(AntGather))
register("ShipSteering", ShipSteeringCfg, ShipSteering)
register("TaxiFuel", TaxiFuelCfg, taxi_fuel)
register("FourRooms", FourRoomsCfg, four_rooms)
