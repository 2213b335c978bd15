// Runs the exported page's simulation under node: node page_check.mjs PAGE POLICY STATES STEPS; prints JSON.
// For each of the states, what is observed and done, and for some the state a decision later; then where the body gets.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [page, policy, states, steps] = process.argv.slice(2);
const { Simulation } = await import(pathToFileURL(resolve(page, "simulation.mjs")));
const { TASK_PARTS, proprioception } = await import(pathToFileURL(resolve(page, "observe.mjs")));
const read = async (path) => Uint8Array.from(await readFile(resolve(page, path))).buffer;
const simulation = await Simulation.load(read, policy);
const { maze, moving } = simulation;
if (moving) moving.wait_s = Infinity; // until the reset: it does nothing by itself
let seed = 1;
Math.random = () => (seed = (16807 * seed) % 2147483647) / 2147483647;

const results = [];
for (const { qpos, qvel, command, rows, advance } of JSON.parse(await readFile(states))) {
  maze?.setRows(rows);
  maze?.place(simulation.data.mocap_pos);
  simulation.setState(qpos, qvel);
  Object.assign(simulation.command, command);
  simulation.steps = 0; // a new latent is due
  const action = [...(await simulation.act())];
  const obs = { proprioception: proprioception(simulation.root), task: simulation.observeTask() };
  results.push({ ...obs, latent: [...simulation.latent], action });
  if (!advance) continue;
  for (let step = 0; step < simulation.high_level.inner_steps; step++) await simulation.step();
  results.at(-1).next_qpos = [...simulation.data.qpos];
}

maze?.setRows(simulation.start.maze.rows);
simulation.reset();
await simulation.step();
const { objects, pos: start } = simulation.root;
const goal = [...simulation.command.target];
const far = (pos) => Math.hypot(...goal.map((value, i) => value - pos[i]));
if (!simulation.start.target) {
  Object.assign(simulation.command, { target: [start[0] + 4, start[1]], direction: [1, 0], speed: 1 });
}
simulation.path.steer(0.6, 0);
let fell = false;
let off_path_m = 0;
const began = process.cpuUsage();
for (let step = 1; step < Number(steps) && !simulation.arrivals; step++) {
  await simulation.step();
  fell ||= simulation.fallen;
  if (simulation.followsPath) {
    off_path_m = Math.max(off_path_m, Math.hypot(...simulation.path.point.map((x, i) => x - simulation.root.pos[i])));
  }
}
const { user, system } = process.cpuUsage(began); // in µs
const step_ms = (user + system) / 1000 / (simulation.steps - 1);
const { arrivals, root, text } = simulation;
const walked_m = Math.hypot(root.pos[0] - start[0], root.pos[1] - start[1]);
const walk = { walked_m, fell, arrivals, off_path_m };
const [before_w, after_w] = [objects, root.objects].map(([object]) => object?.pos ?? [0, 0]);
const object = { before_m: far(before_w), after_m: far(after_w), along_m: after_w[0] - before_w[0] };

const sideways = () => simulation.root.bodies[0].linvel[1];
const before = sideways();
simulation.push(0.5 * Math.PI);
for (let step = 0; step < 3; step++) await simulation.step();
const pushed_mps = sideways() - before;

simulation.reset();
await simulation.step();
const { steps: steps_after_reset } = simulation;
const parts = Object.keys(TASK_PARTS);
process.stdout.write(JSON.stringify({ parts, results, ...walk, object, text, step_ms, pushed_mps, steps_after_reset }));
