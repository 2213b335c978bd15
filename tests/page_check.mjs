// Runs the exported page's simulation under node: node page_check.mjs PAGE POLICY STATES STEPS; prints JSON.
// For each of the states, what is observed and done, and the state a decision later; then whether the body is upright after some control steps.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [page, policy, states, steps] = process.argv.slice(2);
const { Simulation } = await import(pathToFileURL(resolve(page, "simulation.mjs")));
const { TASK_PARTS } = await import(pathToFileURL(resolve(page, "observe.mjs")));
const read = async (path) => Uint8Array.from(await readFile(resolve(page, path))).buffer;
const simulation = await Simulation.load(read, policy);

const results = [];
for (const { qpos, qvel, command } of JSON.parse(await readFile(states))) {
  simulation.setState(qpos, qvel);
  Object.assign(simulation.command, command);
  simulation.steps = 0; // a new latent is due
  const obs = simulation.observe();
  const action = [...(await simulation.act())];
  const latent = [...simulation.latent];
  for (let step = 0; step < simulation.high_level.inner_steps; step++) await simulation.step();
  results.push({ ...obs, latent, action, next_qpos: [...simulation.data.qpos] });
}

simulation.reset();
await simulation.step();
const start = simulation.root.pos;
Object.assign(simulation.command, { target: [start[0] + 4, start[1]], direction: [1, 0], speed: 1 });
let fell = false;
const times = [];
for (let step = 1; step < Number(steps); step++) {
  const before = performance.now();
  await simulation.step();
  times.push(performance.now() - before);
  fell ||= simulation.fallen;
}
const walk = { start, end: simulation.root.pos, fell, step_ms: times.sort((a, b) => a - b)[times.length >> 1] };

const sideways = () => simulation.root.bodies[0].linvel[1];
const before = sideways();
simulation.push(0.5 * Math.PI);
for (let step = 0; step < 3; step++) await simulation.step();
const pushed_mps = sideways() - before;

simulation.reset();
await simulation.step();
const { steps: steps_after_reset } = simulation;
const parts = Object.keys(TASK_PARTS);
process.stdout.write(JSON.stringify({ parts, results, ...walk, pushed_mps, steps_after_reset }));
