// The page: keys, joystick, gamepad and clicks become the command of the high level.

import { Plan } from "./plan.mjs";
import { Simulation } from "./simulation.mjs";
import { View } from "./view.mjs";

const KEYS = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
const AHEAD_M = 3; // of the body lies the target while a key is held
const MOST_STEPS = 4; // control steps per frame: a slow computer shows slow motion
const CLICK_PX = 5;
const DRAWN_M = 0.2; // between the points of a drawn path
const LIE_S = 3; // after a fall, until the reset

const $ = (id) => document.getElementById(id);
const held = new Set();
let stick = [0, 0]; // of the joystick: right, up

/** Where keys, joystick or gamepad point: right and up, each in [-1, 1]. */
function steering() {
  const pad = navigator.getGamepads?.().find(Boolean);
  const sources = [stick, ...[...held].map((key) => KEYS[key])];
  if (pad && Math.hypot(...pad.axes.slice(0, 2)) > 0.2) sources.push([pad.axes[0], -pad.axes[1]]);
  return sources.reduce(([x, y], [dx, dy]) => [x + dx, y + dy], [0, 0]);
}

/** Applies the steering, relative to the camera; of a path it is the speed and the turn rate. */
function steer(simulation, view) {
  const [right, up] = steering();
  const { command, root, taskParts, path, speeds } = simulation;
  path.steer(Math.min(Math.max(up, 0), 1), Math.min(Math.max(-right, -1), 1));
  if (Math.hypot(right, up) < 0.1) {
    if (steer.active && taskParts.includes("target_h")) command.target = root.pos.slice(0, 2);
    if (steer.active) command.speed = speeds[0];
    steer.active = false;
    return;
  }
  steer.active = true;
  const angle = view.yaw + Math.atan2(-right, up);
  const share = Math.min(Math.hypot(right, up), 1);
  command.direction = [Math.cos(angle), Math.sin(angle)];
  command.speed = speeds[0] + share * (speeds[1] - speeds[0]);
  simulation.aim(command.direction.map((value, i) => root.pos[i] + AHEAD_M * share * value));
}

/** Makes a point on the floor the target, the end of the path, the direction, or the place of an object. */
function aim(simulation, point) {
  const { command, commanded, speeds, moving } = simulation;
  moving?.aim(simulation, point);
  const offset = point.map((value, i) => value - commanded[i]);
  const distance = Math.hypot(...offset);
  if (distance < 0.1) return;
  simulation.aim(point, simulation.anyHeight_m);
  simulation.path.follow([point]);
  command.direction = offset.map((value) => value / distance);
  command.speed = Math.min(Math.max(distance / 2, speeds[0]), speeds[1]);
}

function listen(simulation, view) {
  addEventListener("keydown", (event) => {
    if (event.key in KEYS) held.add(event.key);
    else if (event.key === "p") push(simulation);
    else if (event.key === "r") simulation.reset();
    else return;
    event.preventDefault();
  });
  addEventListener("keyup", (event) => held.delete(event.key));
  addEventListener("blur", () => held.clear());
  let pressed = null;
  let line = null; // points of a path that is being drawn
  const canvas = $("scene");
  canvas.addEventListener("pointerdown", (event) => {
    pressed = event;
    if ($("draw").ariaPressed !== "true") return;
    line = [];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const point = line && view.floorPoint(event);
    const last = line?.at(-1) ?? [Infinity, 0];
    if (point && Math.hypot(point[0] - last[0], point[1] - last[1]) > DRAWN_M) line.push(point);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (line?.length) {
      simulation.path.follow(line);
      drawPath(view, false);
    }
    line = null;
    const moved = Math.hypot(event.clientX - pressed?.clientX, event.clientY - pressed?.clientY);
    const point = moved < CLICK_PX && view.floorPoint(event); // a drag turns the camera
    if (point) aim(simulation, point);
  });
  $("draw").hidden = !simulation.followsPath;
  $("draw").onclick = () => drawPath(view, $("draw").ariaPressed !== "true");
  $("push").onclick = () => push(simulation);
  $("reset").onclick = () => simulation.reset();
  listenToJoystick($("joystick"));
}

/** Whether a drag draws a path, rather than turns the view. */
function drawPath(view, on) {
  $("draw").ariaPressed = String(on);
  view.controls.enabled = !on;
}

function listenToJoystick(element) {
  const move = (event) => {
    const { left, top, width } = element.getBoundingClientRect();
    const radius = width / 2;
    const offset = [event.clientX - left - radius, top + radius - event.clientY];
    const scale = 1 / Math.max(Math.hypot(...offset), radius);
    stick = event.buttons ? offset.map((value) => value * scale) : [0, 0];
    element.firstElementChild.style.translate = `${30 * stick[0]}px ${-30 * stick[1]}px`;
  };
  element.addEventListener("pointerdown", (event) => element.setPointerCapture(event.pointerId));
  for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) element.addEventListener(kind, move);
}

const push = (simulation) => simulation.push(2 * Math.PI * Math.random());

function status(simulation, frame_s) {
  const time_s = simulation.steps * simulation.step_s;
  const [vx, vy] = simulation.root.bodies[0].linvel;
  const speed = `${Math.hypot(vx, vy).toFixed(1)} m/s`;
  const parts = [`${time_s.toFixed(0)} s`, simulation.fallen ? "fallen" : speed, simulation.text];
  return [...parts.filter(Boolean), `${(1 / frame_s).toFixed(0)} frames/s`].join("   ");
}

async function run(simulation, view, plan) {
  let behind_s = 0;
  let last_ms = performance.now();
  let mean_s = 1 / 60;
  let lying_s = 0;
  for (;;) {
    const now_ms = await new Promise(requestAnimationFrame);
    const frame_s = (now_ms - last_ms) / 1000;
    last_ms = now_ms;
    mean_s += 0.1 * (frame_s - mean_s);
    behind_s = Math.min(behind_s + frame_s, MOST_STEPS * simulation.step_s);
    for (; behind_s >= simulation.step_s; behind_s -= simulation.step_s) {
      steer(simulation, view);
      await simulation.step();
      lying_s = simulation.fallen ? lying_s + simulation.step_s : 0;
      if (lying_s > LIE_S) simulation.reset();
    }
    simulation.mark();
    view.draw(simulation.data, simulation.root.pos, simulation.path.line);
    plan?.show();
    $("status").textContent = status(simulation, mean_s);
  }
}

async function read(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

async function main() {
  const names = JSON.parse(new TextDecoder().decode(await read("policies.json")));
  const asked = new URLSearchParams(location.search).get("policy");
  const name = names.includes(asked) ? asked : names[0];
  $("policy").append(...names.map((each) => new Option(each, each, false, each === name)));
  $("policy").hidden = names.length < 2;
  $("policy").onchange = (event) => (location.search = new URLSearchParams({ policy: event.target.value }));
  const simulation = await Simulation.load(read, name);
  const view = new View($("scene"), simulation.model);
  if (simulation.maze) view.camera.position.set(-5, -3.5, 5.5);
  globalThis.simulation = simulation; // for the browser's console
  listen(simulation, view);
  const plan = simulation.maze && new Plan($("plan"), simulation);
  $("plan").hidden = $("clear").hidden = !plan;
  $("hint").textContent = plan ? "Walls are drawn on the plan." : (simulation.moving?.hint ?? "");
  $("clear").onclick = () => plan.clear();
  await run(simulation, view, plan);
}

main().catch((error) => {
  $("status").textContent = String(error);
  throw error;
});
