"""The shipped tasks; importing this package registers them."""

from isaachrl.envs import register, task_env
from isaachrl.hierarchy.build import hierarchical

from .ant_course import AntCourse, AntCourseCfg
from .ant_gather import AntGather, AntGatherCfg
from .four_rooms import FourRoomsCfg, four_rooms
from .humanoid_amp import HumanoidAMP, HumanoidAMPCfg
from .humanoid_dodge import HumanoidDodge, HumanoidDodgeCfg
from .humanoid_dribble import HumanoidDribble, HumanoidDribbleCfg
from .humanoid_hrl_maze import HumanoidHRLMaze, HumanoidHRLMazeCfg
from .humanoid_location import HumanoidLocation, HumanoidLocationCfg
from .humanoid_program import HumanoidProgram, HumanoidProgramCfg
from .humanoid_push import HumanoidPush, HumanoidPushCfg
from .humanoid_reach import HumanoidReach, HumanoidReachCfg
from .humanoid_steering import HumanoidSteering, HumanoidSteeringCfg
from .humanoid_topple import HumanoidTopple, HumanoidToppleCfg
from .humanoid_tracking import HumanoidTracking, HumanoidTrackingCfg
from .humanoid_trajectory import HumanoidTrajectory, HumanoidTrajectoryCfg
from .ship_steering import ShipSteering, ShipSteeringCfg
from .taxi_fuel import TaxiFuelCfg, taxi_fuel

register("HumanoidAMP", HumanoidAMPCfg, task_env(HumanoidAMP))
# getting up: while a body lies in a pose unlike any clip, the discriminator alone gives no useful reward for millions
# of samples, so the head's height and tracking of the clip are rewarded, too
register(
    "HumanoidRise",
    HumanoidAMPCfg,
    task_env(HumanoidAMP),
    motion="rising",
    episode_steps=150,
    fallen={"share": 0.3},
    track_within_m=0.6,
    reward={"alive": 1.0, "height": 1.0, "track": 2.0},
)
register("HumanoidTracking", HumanoidTrackingCfg, task_env(HumanoidTracking))
register("HumanoidHRLMaze", HumanoidHRLMazeCfg, hierarchical(HumanoidHRLMaze))
register("HumanoidLocation", HumanoidLocationCfg, hierarchical(HumanoidLocation))
register("HumanoidSteering", HumanoidSteeringCfg, hierarchical(HumanoidSteering))
register("HumanoidTrajectory", HumanoidTrajectoryCfg, hierarchical(HumanoidTrajectory))
register("HumanoidProgram", HumanoidProgramCfg, hierarchical(HumanoidProgram))
register("HumanoidDodge", HumanoidDodgeCfg, hierarchical(HumanoidDodge))
register("HumanoidDribble", HumanoidDribbleCfg, hierarchical(HumanoidDribble))
register("HumanoidPush", HumanoidPushCfg, hierarchical(HumanoidPush))
register("HumanoidReach", HumanoidReachCfg, hierarchical(HumanoidReach))
register("HumanoidTopple", HumanoidToppleCfg, hierarchical(HumanoidTopple))
register("AntMaze", AntCourseCfg, task_env(AntCourse), course="maze")
register("AntPush", AntCourseCfg, task_env(AntCourse), course="push")
register("AntFall", AntCourseCfg, task_env(AntCourse), course="fall")
register("AntFourRooms", AntCourseCfg, task_env(AntCourse), course="four_rooms")
register("AntGather", AntGatherCfg, task_env(AntGather))
register("ShipSteering", ShipSteeringCfg, ShipSteering)
register("TaxiFuel", TaxiFuelCfg, taxi_fuel)
register("FourRooms", FourRoomsCfg, four_rooms)
