// A humanoid in MuJoCo under two networks: the high level sets a latent every few control steps, the skill the motors.

import { TASK_PARTS, proprioception, readBodies } from "./observe.mjs";
import { Maze } from "./maze.mjs";
import { Balls, Pillar, between } from "./objects.mjs";
import { Path } from "./path.mjs";
import loadMujoco from "./vendor/mujoco.mjs";
import * as ort from "./vendor/ort.wasm.bundle.min.mjs";

const MARKER_HEIGHT_M = 0.1;
const MARKER_M = 1.5; // distance of the marker per m/s of a commanded velocity
const SPEEDS_MPS = [0.5, 1.5]; // commanded while nothing is steered, and at most, unless the task has others
const PUSH_N = 400;
const PUSH_STEPS = 3; // 40 N s in all, which most walking bodies bear

/** Unpacks a file, unless the server has done so. */
async function unpacked(buffer) {
  const [first, second] = new Uint8Array(buffer);
  if (first !== 0x1f || second !== 0x8b) return buffer;
  return new Response(new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

export class Simulation {
  /**
   * @param {(path: string) => Promise<ArrayBuffer>} read reads a file of the page's folder
   * @param {string} name a folder of `policies/`
   */
  static async load(read, name) {
    const [engine, runtime] = await Promise.all(
      ["mujoco", "ort-wasm-simd-threaded"].map(async (file) => unpacked(await read(`vendor/${file}.wasm.gz`))),
    );
    ort.env.wasm.numThreads = 1; // more need headers that a static server does not send
    ort.env.wasm.wasmBinary = runtime;
    const self = new Simulation();
    const text = async (path) => new TextDecoder().decode(await read(path));
    const own = `policies/${name}`;
    self.start = JSON.parse(await text(`${own}/start.json`));
    for (const [level, folder] of [["high_level", own], ["low_level", `skills/${self.start.skill}`]]) {
      self[level] = JSON.parse(await text(`${folder}/${level}.json`));
      self[level].session = await ort.InferenceSession.create(new Uint8Array(await read(`${folder}/${level}.onnx`)));
    }
    self.mujoco = await loadMujoco({ wasmBinary: engine });
    self.model = self.mujoco.MjModel.from_xml_string(await text(`${own}/scene.xml`));
    self.data = new self.mujoco.MjData(self.model);
    self.taskParts = self.high_level.layout.task.map(([part]) => part);
    self.maze = self.start.maze && new Maze(self.start.maze);
    self.followsPath = self.taskParts.includes("path_h");
    self.followsPoint = self.maze || ["target_h", "goal_h", "hand_target_h"].some((part) => self.taskParts.includes(part));
    self.speeds = self.start.speed_mps ?? SPEEDS_MPS;
    self.step_s = self.high_level.step_s / self.high_level.inner_steps;
    self.substeps = Math.round(self.step_s / self.model.opt.timestep);
    self.begin();
    return self;
  }

  /** Back to the start, with the next step: one may be in progress. */
  reset() {
    this.resetDue = true;
  }

  begin() {
    this.resetDue = false;
    this.mujoco.mj_resetData(this.model, this.data);
    this.steps = this.pushSteps = this.arrivals = 0;
    const { pillar, throws } = this.start;
    this.moving = pillar ? new Pillar(pillar) : throws && new Balls(throws);
    this.maze?.place(this.data.mocap_pos);
    const [x, y, ...rest] = this.start.qpos;
    this.setState([...(this.maze?.free([x, y]) ?? [x, y]), ...rest], this.start.qvel);
    const target = this.start.target ?? this.root.pos.slice(0, 2);
    this.command = { target, direction: [...this.root.ahead], speed: this.speeds[0], newest: 0 };
    this.path = new Path(this.root.pos, this.root.ahead, this.start.path ?? {});
    this.command.path = this.path.points;
    this.aim(target);
  }

  /** Call when walls were drawn or removed: moves their boxes, and the goal if there is no way to it any more. */
  wallsMoved() {
    this.maze.place(this.data.mocap_pos);
    this.aim(this.command.target);
  }

  /** Makes a position on the floor the target; in a maze the nearest cell, for the hand the place above that is near. */
  aim(point, height_m = this.command.target[2]) {
    if (this.maze) this.command.target = this.maze.reachable(point, this.root.pos);
    else if (this.start.reach) this.command.target = [...this.near(point), height_m];
    else this.command.target = point;
  }

  /** The position on the floor that lies towards a point, no further away than targets of the hand. */
  near([x, y]) {
    const { pos } = this.root;
    const share = Math.min(this.start.reach.distance_m / Math.hypot(x - pos[0], y - pos[1]), 1);
    return [pos[0] + share * (x - pos[0]), pos[1] + share * (y - pos[1])];
  }

  /** A random height for the hand's target, if the task has one. */
  get anyHeight_m() {
    return this.start.reach && between(this.start.reach.height_m);
  }

  /** Puts an object somewhere, upright, with a velocity. */
  put(index, pos, linvel = [0, 0, 0]) {
    const { qpos, qvel } = this.data;
    const left = this.root.objects.length - index; // they are last in the state
    qpos.set([...pos, 1, 0, 0, 0], qpos.length - 7 * left);
    qvel.set([...linvel, 0, 0, 0], qvel.length - 6 * left);
    this.update();
  }

  setState(qpos, qvel) {
    this.data.qpos.set(qpos);
    this.data.qvel.set(qvel);
    this.update();
  }

  /** Recomputes what depends on the state: after a step it is one physics step old. */
  update() {
    this.mujoco.mj_fwdPosition(this.model, this.data);
    this.mujoco.mj_fwdVelocity(this.model, this.data);
    this.root = readBodies(this.data, this.low_level.body_names.length, this.start.objects);
  }

  /** The observation group `task`. */
  observeTask() {
    return this.taskParts.flatMap((part) => TASK_PARTS[part](this.root, this.command, this.maze));
  }

  async evaluate(level, inputs) {
    const { session, output } = this[level];
    const tensors = Object.entries(inputs).map(([name, values]) => [
      name,
      new ort.Tensor("float32", Float32Array.from(values), [1, values.length]),
    ]);
    return (await session.run(Object.fromEntries(tensors)))[output].data;
  }

  /** Joint targets in rad for the present state, with a new latent when one is due. */
  async act() {
    const obs = { proprioception: proprioception(this.root) };
    if (this.steps % this.high_level.inner_steps === 0) {
      obs.task = this.observeTask();
      const policy_input = Object.keys(this.high_level.policy_input).flatMap((group) => obs[group]);
      this.latent = await this.evaluate("high_level", { policy_input });
    }
    return this.evaluate("low_level", { proprioception: obs.proprioception, latent: this.latent });
  }

  /** One control step. */
  async step() {
    if (this.resetDue) this.begin();
    this.data.ctrl.set(await this.act());
    this.data.xfrc_applied.set(this.pushSteps-- > 0 ? this.force : [0, 0, 0], 6); // on the root
    for (let i = 0; i < this.substeps; i++) this.mujoco.mj_step(this.model, this.data);
    this.update();
    this.steps += 1;
    this.path.advance(this.step_s);
    this.command.path = this.path.points;
    this.moving?.advance(this);
    if (this.maze && !this.fallen && this.targetDistance < this.maze.goal_radius_m) {
      this.arrivals += 1;
      this.command.target = this.maze.anyGoal(this.root.pos);
    }
  }

  get targetDistance() {
    return Math.hypot(...this.command.target.map((value, i) => value - this.root.pos[i]));
  }

  /** Pushes the root in a direction on the floor, an angle in rad. */
  push(angle) {
    this.force = [PUSH_N * Math.cos(angle), PUSH_N * Math.sin(angle), 0];
    this.pushSteps = PUSH_STEPS;
  }

  /** Shows the command: moves the markers, which follow the walls. */
  mark() {
    const { target, direction, speed, path } = this.command;
    const ahead = direction.map((value, i) => this.commanded[i] + MARKER_M * speed * value);
    const points = this.followsPath ? path : [this.followsPoint ? target : ahead];
    const markers = this.moving ? [] : points.flatMap(([x, y, z = MARKER_HEIGHT_M]) => [x, y, z]);
    this.data.mocap_pos.set(markers, 3 * (this.maze?.boxes ?? 0));
    this.mujoco.mj_kinematics(this.model, this.data);
  }

  /** Position of what has the commanded velocity: a ball, or the body. */
  get commanded() {
    return this.taskParts.includes("ball_h") ? this.root.objects[0].pos : this.root.pos;
  }

  /** What is counted, for the visitor. */
  get text() {
    return this.maze ? `${this.arrivals} goals reached` : (this.moving?.text ?? "");
  }

  get fallen() {
    const { bodies } = this.root;
    const low = ([name, limit]) => !(bodies[this.low_level.body_names.indexOf(name)].pos[2] >= limit);
    return Object.entries(this.start.min_height_m).some(low);
  }
}
