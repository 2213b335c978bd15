// What the networks observe, computed as in Python. Quaternions are w, x, y, z; names end in the frame: _w world, _h heading.

const STEEP = 0.999; // vertical component of the root's x axis at which the heading blends, as in isaachrl.maths.rotations
const LOCATION_SCALE_M = 10;
const GOAL_SCALE_M = 10; // of mazes
const RAYS = 16;
const RAY_RANGE_M = 10;
const WINDOW_RADIUS = 3;
const WAY_POINTS = 2;
const BOX_SCALE_M = 3;
const BEHIND_M = 0.65; // from the box's middle to a body that pushes
const PILLAR_SCALE_M = 5;
const THROWN_SCALE_M = 5;
const DRIBBLED_SCALE_M = 3;

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

/**
 * Root, heading and bodies of MuJoCo's `MjData`; the robot's bodies are the first `count` after the world, the `free`
 * objects that move freely the last ones.
 */
export function readBodies(data, count, free) {
  const { xpos, xquat, cvel, subtree_com: com } = data;
  const read = (id, tree) => {
    const center = row(com, tree, 3); // `cvel` is the velocity at the centre of mass of the body's tree
    const pos = row(xpos, id, 3);
    const [p, q, r] = row(cvel, id, 6);
    const [x, y, z] = pos.map((value, i) => value - center[i]);
    const cross = [q * z - r * y, r * x - p * z, p * y - q * x];
    const linvel = row(cvel, id, 6, 3).map((value, i) => value + cross[i]);
    return { pos, axes: axesXZ(row(xquat, id, 4)), linvel, angvel: [p, q, r] };
  };
  const bodies = Array.from({ length: count }, (_, index) => read(index + 1, 1));
  const first = xpos.length / 3 - free;
  const objects = Array.from({ length: free }, (_, index) => read(first + index, first + index));
  return { pos: bodies[0].pos, ahead: heading(row(xquat, 1, 4)), bodies, objects };
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

const offset = (from, to) => [to[0] - from[0], to[1] - from[1]];
const offset3 = (from, to) => [...offset(from, to), to[2] - from[2]];
const toTarget = ({ pos, ahead }, { target }) => toHeading(ahead, offset(pos, target));
const scaled = (vector, scale) => vector.map((value) => value / scale);

/** Unit vector on the floor along the root's x axis, the heading of HumanoidHRLMaze. */
const forward = ({ bodies }) => unit(bodies[0].axes[0].slice(0, 2));
const toGoal = (root, { target }) => toHeading(forward(root), offset(root.pos, target));

/** Unit vector on the floor from the object to the target. */
const pushDirection = ({ objects: [box] }, { target }) => unit(offset(box.pos, target));

const toPillar = ({ pos, ahead, objects: [pillar] }) => toHeading(ahead, offset(pos, pillar.pos));

/** The objects in the order in which they were thrown, the newest first. */
const newestFirst = (objects, newest) => objects.map((_, i) => objects.at((newest - i) % objects.length));

/** Parts of the group `task` by their name in the exported contract: functions of `readBodies`, the command and the maze. */
export const TASK_PARTS = {
  target_h: (root, command) => scaled(toTarget(root, command), LOCATION_SCALE_M),
  target_direction_h: (root, command) => unit(toTarget(root, command)),
  target_distance: (root, command) => [Math.min(Math.hypot(...toTarget(root, command)), 1)],
  hand_target_h: ({ pos, ahead }, { target }) => toHeading(ahead, offset3(pos, target)),
  direction_h: (root, { direction }) => toHeading(root.ahead, direction),
  speed: (root, { speed }) => [speed],
  facing_h: (root, { direction }) => toHeading(root.ahead, direction),
  path_h: ({ pos, ahead }, { path }) => path.flatMap((point) => toHeading(ahead, offset(pos, point))),
  pillar_h: (root) => scaled(toPillar(root), PILLAR_SCALE_M),
  pillar_direction_h: (root) => unit(toPillar(root)),
  pillar_distance: (root) => [Math.min(Math.hypot(...toPillar(root)), 1)],
  pillar_up: ({ ahead, objects: [pillar] }) => toHeading(ahead, pillar.axes[1]),
  pillar_linvel_h: ({ ahead, objects: [pillar] }) => toHeading(ahead, pillar.linvel.slice(0, 2)),
  ball_pos_h: ({ pos, ahead, objects }, { newest }) =>
    newestFirst(objects, newest).flatMap((ball) => scaled(toHeading(ahead, offset3(pos, ball.pos)), THROWN_SCALE_M)),
  // of HumanoidDodge and of HumanoidDribble, which has one ball
  ball_linvel_h: ({ ahead, objects }, { newest }) =>
    newestFirst(objects, newest).flatMap((ball) => toHeading(ahead, ball.linvel)),
  ball_h: ({ pos, ahead, objects: [ball] }) => scaled(toHeading(ahead, offset3(pos, ball.pos)), DRIBBLED_SCALE_M),
  box_h: ({ pos, ahead, objects: [box] }) => scaled(toHeading(ahead, offset(pos, box.pos)), BOX_SCALE_M),
  box_axis_h: ({ ahead, objects: [box] }) => toHeading(ahead, box.axes[0].slice(0, 2)),
  box_linvel_h: ({ ahead, objects: [box] }) => toHeading(ahead, box.linvel.slice(0, 2)),
  behind_h: (root, command) => {
    const behind = pushDirection(root, command).map((value, i) => root.objects[0].pos[i] - BEHIND_M * value);
    return scaled(toHeading(root.ahead, offset(root.pos, behind)), BOX_SCALE_M);
  },
  goal_h: (root, command) => scaled(toTarget(root, command), BOX_SCALE_M),
  push_direction_h: (root, command) => toHeading(root.ahead, pushDirection(root, command)),
  // HumanoidPush and HumanoidHRLMaze have parts of this name
  goal_distance: (root, { target }, maze) =>
    maze
      ? [Math.hypot(...offset(root.pos, target)) / GOAL_SCALE_M]
      : [Math.hypot(...offset(root.objects[0].pos, target)) / BOX_SCALE_M],
  goal_direction_h: (root, command) => unit(toGoal(root, command)),
  goal_pos_h: (root, command) => scaled(toGoal(root, command), GOAL_SCALE_M),
  wall_rays: (root, command, maze) => {
    const [cosine, sine] = forward(root);
    return Array.from({ length: RAYS }, (_, i) => {
      const [x, y] = [Math.cos((2 * Math.PI * i) / RAYS), Math.sin((2 * Math.PI * i) / RAYS)];
      return maze.ray(root.pos, [cosine * x - sine * y, sine * x + cosine * y], RAY_RANGE_M) / RAY_RANGE_M;
    });
  },
  map_h: (root, command, maze) => maze.around(root.pos, forward(root), WINDOW_RADIUS),
  way_points_h: (root, { target }, maze) => {
    const points = maze.wayPoints(root.pos, target, WAY_POINTS);
    return points.flatMap((point) => scaled(toHeading(forward(root), offset(root.pos, point)), maze.cell_m));
  },
  way_length: (root, { target }, maze) => [maze.wayLeft(root.pos, target) / GOAL_SCALE_M],
};
