// Objects that the page moves: a pillar that is put up again, as in tasks/humanoid_topple.py, and balls that are thrown,
// as in tasks/humanoid_dodge.py.

const GRAVITY = 9.81;

export const between = ([low, high]) => low + (high - low) * Math.random();
const anyAngle = () => 2 * Math.PI * Math.random();

export class Pillar {
  hint = "A click puts up the pillar there.";

  /** @param given `distance_m`, `rest_s`, `half_height_m` and `toppled`, the cosine of the tilt, as start.json has them */
  constructor(given) {
    Object.assign(this, { given, count: 0, wait_s: 0 });
  }

  /** Puts the pillar up at a place on the floor. */
  aim(simulation, [x, y]) {
    simulation.put(0, [x, y, this.given.half_height_m]);
    this.wait_s = 0;
  }

  /** After a control step: counts a pillar that falls, and puts it up again some time later, elsewhere. */
  advance(simulation) {
    const { step_s, root } = simulation;
    if (root.objects[0].axes[1][2] < this.given.toppled && !this.wait_s) {
      this.wait_s = Math.max(this.given.rest_s, step_s);
      this.count += !simulation.fallen;
    } else if (this.wait_s && (this.wait_s -= step_s) <= 0) {
      const [angle, distance] = [anyAngle(), between(this.given.distance_m)];
      this.aim(simulation, [root.pos[0] + distance * Math.cos(angle), root.pos[1] + distance * Math.sin(angle)]);
    }
  }

  get text() {
    return `pillars toppled: ${this.count}`;
  }
}

export class Balls {
  hint = "A click throws a ball from there.";

  /** @param given `body` that is thrown at, `speed_mps`, `distance_m`, `hold_s` and `release_m`, as start.json has them */
  constructor(given) {
    Object.assign(this, { given, count: 0, wait_s: between(given.hold_s), touched: false });
  }

  /** Throws the ball that was thrown longest ago, from the direction of a place on the floor. */
  aim(simulation, [x, y]) {
    const { pos } = simulation.root;
    this.throw(simulation, Math.atan2(y - pos[1], x - pos[0]));
  }

  /** Throws a ball so that it meets the body if that keeps its velocity. */
  throw(simulation, angle) {
    const { root, command } = simulation;
    const { body, speed_mps, distance_m, hold_s, release_m } = this.given;
    const { pos, linvel } = root.bodies[body];
    const distance = between(distance_m);
    const flight_s = distance / between(speed_mps);
    const from = [pos[0] + distance * Math.cos(angle), pos[1] + distance * Math.sin(angle), release_m];
    const velocity = from.map((value, i) => (pos[i] - value) / flight_s + (i < 2 ? linvel[i] : (GRAVITY * flight_s) / 2));
    command.newest = (command.newest + 1) % root.objects.length;
    simulation.put(command.newest, from, velocity);
    this.wait_s = between(hold_s);
  }

  /** After a control step: counts hits, and throws when it is time. */
  advance(simulation) {
    const touched = simulation.data.sensordata.subarray(-simulation.root.objects.length).some((found) => found > 0);
    this.count += touched && !this.touched;
    this.touched = touched;
    if ((this.wait_s -= simulation.step_s) <= 0) this.throw(simulation, anyAngle());
  }

  get text() {
    return `hits: ${this.count}`;
  }
}
