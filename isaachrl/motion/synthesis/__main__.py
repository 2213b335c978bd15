"""Write the built-in motions as `.npz` files and print their measures.

python -m isaachrl.motion.synthesis [--folder assets/motions] [clip …]
"""

import argparse
import logging
from pathlib import Path

from isaachrl.motion.checks import ClipChecks, check_clip
from isaachrl.motion.synthesis.builtin import CLIP_NAMES, builtin_clips
from isaachrl.shipped import ASSETS
from isaachrl.sim import load_robot
from isaachrl.sim.soles import robot_soles

log = logging.getLogger("isaachrl.motion.synthesis")


def main() -> None:
    """Make the clips named on the command line, or all, and save them."""
    parser = argparse.ArgumentParser(
        prog="python -m isaachrl.motion.synthesis", description="make the built-in motions"
    )
    parser.add_argument("clips", nargs="*", help=f"which ones; all when left out ({', '.join(CLIP_NAMES)})")
    parser.add_argument("--folder", type=Path, default=ASSETS / "motions", help="where to write them")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    robot = load_robot("humanoid")
    soles = robot_soles(robot)
    for clip in builtin_clips(arguments.clips or None):
        clip.save(arguments.folder / f"{clip.name}.npz")
        log.info("%-12s %s", clip.name, _summary(check_clip(clip, robot, soles)))


def _summary(checks: ClipChecks) -> str:
    """The main measures in one line."""
    return (
        f"{checks.length_s:4.2f} s  {checks.speed_m_s:5.3f} m/s  {checks.turn_rad_s:+6.3f} rad/s  "
        f"slip {checks.slip_cm:4.2f} cm  penetration {checks.penetration_mm:3.1f} mm  "
        f"margin {checks.margin_deg:4.1f} deg ({checks.margin_dof})  seam {checks.seam_rad:.0e} rad"
    )


if __name__ == "__main__":
    main()
