// The path that a body follows: a point that moves with a steered speed and turn rate, as random_paths of
// tasks/humanoid_trajectory.py has it, or along a line that was drawn.

const KNOT_S = 0.1;
const TURN_S = 0.5; // time constant of the turn rate
const DRAWN_MPS = 1.2; // speed along a drawn line

const distance = (a, b) => Math.hypot(b[0] - a[0], b[1] - a[1]);

export class Path {
  /**
   * @param pos where it begins
   * @param ahead unit vector in which it begins
   * @param limits `ahead` points `ahead_s` apart are observed; `speed_mps`, `acceleration_mps2` and `turn_rad_s` bound it
   */
  constructor(pos, ahead, limits) {
    Object.assign(this, { limits, line: [], speed: 0, turn: 0, wanted: [0, 0] });
    this.point = pos.slice(0, 2);
    this.yaw = Math.atan2(ahead[1], ahead[0]);
  }

  /** Steers: shares of the highest speed and of the highest turn rate to the left. */
  steer(speed, turn) {
    this.wanted = [speed, turn];
    if (speed || turn) this.line = [];
  }

  /** Follows a line of points from where it is. */
  follow(line) {
    this.line = [this.point, ...line];
  }

  /** Moves on by some seconds, within the time between two knots. */
  advance(seconds) {
    if (this.line.length) {
      const [point, ...rest] = along(this.line, DRAWN_MPS * seconds);
      this.line = rest.length ? [point, ...rest] : [];
      if (rest.length) this.yaw = Math.atan2(rest[0][1] - point[1], rest[0][0] - point[0]);
      Object.assign(this, { point, speed: rest.length ? DRAWN_MPS : 0, turn: 0 });
    } else Object.assign(this, this.moved(this, seconds));
  }

  moved({ point: [x, y], yaw, speed, turn }, seconds) {
    const { speed_mps, acceleration_mps2, turn_rad_s } = this.limits;
    const most = acceleration_mps2 * seconds;
    speed += Math.min(Math.max(this.wanted[0] * speed_mps - speed, -most), most);
    turn += ((this.wanted[1] * turn_rad_s - turn) * seconds) / TURN_S;
    yaw += turn * seconds;
    const step = speed * seconds;
    return { point: [x + step * Math.cos(yaw), y + step * Math.sin(yaw)], yaw, speed, turn };
  }

  /** The points that are observed; the first is now. */
  get points() {
    const { ahead = 0, ahead_s } = this.limits;
    if (this.line.length) {
      return Array.from({ length: ahead }, (_, i) => along(this.line, DRAWN_MPS * ahead_s * i)[0]);
    }
    const knots = Math.round(ahead_s / KNOT_S);
    let state = this;
    return Array.from({ length: ahead }, (_, i) => {
      for (let knot = 0; i && knot < knots; knot++) state = this.moved(state, KNOT_S);
      return state.point;
    });
  }
}

/** What is left of a line from some metres on, the point there first. */
function along([first, ...rest], metres) {
  if (!rest.length || !metres) return [first, ...rest];
  const length = distance(first, rest[0]);
  if (length <= metres) return along(rest, metres - length);
  return [first.map((value, i) => value + ((rest[0][i] - value) * metres) / length), ...rest];
}
