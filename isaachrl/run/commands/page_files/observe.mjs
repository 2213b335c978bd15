// What the networks observe, computed as in Python. Quaternions are w, x, y, z; names end in the frame: _w world, _h heading.

const STEEP = 0.999; // vertical component of the root's x axis at which the heading blends, as in isaachrl.maths.rotations
const LOCATION_SCALE_M = 10;

/** The rotated x and z axes of a unit quaternion. */
export function axesXZ([w, x, y, z]) {
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
    [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
  ];
}

/** Unit vector on the floor in which a root with this quaternion is heading. */
export function heading(quat) {
  const [x, z] = axesXZ(quat);
  const steep = Math.min(Math.max(Math.abs(x[2]) - STEEP, 0), 1 - STEEP) / (1 - STEEP);
  return unit([0, 1].map((i) => x[i] + steep * (z[2] * x[i] - x[2] * z[i])), 1e-8);
}

/** A vector of two or three components in the frame that looks along `ahead_w`. */
function toHeading([cosine, sine], [x, y, ...z]) {
  return [cosine * x + sine * y, cosine * y - sine * x, ...z];
}

function unit(vector, least = 1e-6) {
  const length = Math.max(Math.hypot(...vector), least);
  return vector.map((value) => value / length);
}

const row = (array, index, width, start = 0) => Array.from(array.subarray(index * width + start, (index + 1) * width));

/** Root, heading and bodies of MuJoCo's `MjData`; the robot's bodies are the first `count` after the world. */
export function readBodies(data, count) {
  const { xpos, xquat, cvel, subtree_com: com } = data;
  const center = row(com, 1, 3); // `cvel` is the velocity at the robot's centre of mass
  const bodies = Array.from({ length: count }, (_, index) => {
    const id = index + 1;
    const pos = row(xpos, id, 3);
    const [p, q, r] = row(cvel, id, 6);
    const [x, y, z] = pos.map((value, i) => value - center[i]);
    const cross = [q * z - r * y, r * x - p * z, p * y - q * x];
    const linvel = row(cvel, id, 6, 3).map((value, i) => value + cross[i]);
    return { pos, axes: axesXZ(row(xquat, id, 4)), linvel, angvel: [p, q, r] };
  });
  return { pos: bodies[0].pos, ahead: heading(row(xquat, 1, 4)), bodies };
}

/** The proprioception, `proprioception` of tasks/common/humanoid.py. */
export function proprioception({ pos, ahead, bodies }) {
  const parts = [
    bodies.slice(1).map((body) => body.pos.map((value, i) => value - pos[i])),
    bodies.map((body) => body.axes[0]),
    bodies.map((body) => body.axes[1]),
    bodies.map((body) => body.linvel),
    bodies.map((body) => body.angvel),
  ];
  return [pos[2], ...parts.flat().flatMap((vector) => toHeading(ahead, vector))];
}

const toTarget = ({ pos, ahead }, { target }) => toHeading(ahead, [target[0] - pos[0], target[1] - pos[1]]);

/** Parts of the group `task` by their name in the exported contract: functions of `readBodies` and the command. */
export const TASK_PARTS = {
  target_h: (root, command) => toTarget(root, command).map((value) => value / LOCATION_SCALE_M),
  target_direction_h: (root, command) => unit(toTarget(root, command)),
  target_distance: (root, command) => [Math.min(Math.hypot(...toTarget(root, command)), 1)],
  direction_h: (root, { direction }) => toHeading(root.ahead, direction),
  speed: (root, { speed }) => [speed],
  facing_h: (root, { direction }) => toHeading(root.ahead, direction),
};
