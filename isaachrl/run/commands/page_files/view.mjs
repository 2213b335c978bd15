// Draws the geoms of a MuJoCo model with three.js, z upwards.

import * as THREE from "three";
import { OrbitControls } from "./vendor/OrbitControls.js";

const PLANE = 0; // values of mjtGeom
const SHAPES = {
  2: ([radius]) => new THREE.SphereGeometry(radius, 24, 16),
  3: ([radius, half]) => new THREE.CapsuleGeometry(radius, 2 * half, 8, 20).rotateX(Math.PI / 2),
  4: ([x, y, z]) => new THREE.SphereGeometry(1, 24, 16).scale(x, y, z),
  5: ([radius, half]) => new THREE.CylinderGeometry(radius, radius, 2 * half, 24).rotateX(Math.PI / 2),
  6: ([x, y, z]) => new THREE.BoxGeometry(2 * x, 2 * y, 2 * z),
};
const TILE_M = 2; // two squares of the floor
const FLOOR_M = 120;
const LINE_HEIGHT_M = 0.03;

function floor() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 2, height: 2 });
  const pen = canvas.getContext("2d");
  ["#d1d4d6", "#bdc2c7", "#bdc2c7", "#d1d4d6"].forEach((color, i) => {
    pen.fillStyle = color;
    pen.fillRect(i % 2, i >> 1, 1, 1);
  });
  const map = new THREE.CanvasTexture(canvas);
  map.wrapS = map.wrapT = THREE.RepeatWrapping;
  map.magFilter = THREE.NearestFilter;
  map.colorSpace = THREE.SRGBColorSpace;
  map.repeat.setScalar(FLOOR_M / TILE_M);
  const mesh = new THREE.Mesh(new THREE.PlaneGeometry(FLOOR_M, FLOOR_M), new THREE.MeshLambertMaterial({ map }));
  mesh.receiveShadow = true;
  return mesh;
}

export class View {
  constructor(canvas, model) {
    THREE.Object3D.DEFAULT_UP.set(0, 0, 1);
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
    this.renderer.shadowMap.enabled = true;
    this.scene = new THREE.Scene();
    this.scene.background = new THREE.Color("#e8edf1");
    this.scene.fog = new THREE.Fog("#e8edf1", 15, 50);
    this.camera = new THREE.PerspectiveCamera(45, 1, 0.05, 100);
    this.camera.position.set(-3.5, -2.5, 1.8);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enablePan: false, maxPolarAngle: 1.5, minDistance: 1.5, maxDistance: 20 });
    this.controls.target.set(0, 0, 0.8);
    this.floor = floor();
    this.sun = new THREE.DirectionalLight("white", 2);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.setScalar(1024);
    Object.assign(this.sun.shadow.camera, { left: -3, right: 3, top: 3, bottom: -3, far: 12 });
    this.scene.add(this.floor, this.sun, this.sun.target, new THREE.HemisphereLight("white", "#9aa0a6", 1.6));
    this.line = new THREE.Line(new THREE.BufferGeometry(), new THREE.LineBasicMaterial({ color: "#d8503c" }));
    this.line.frustumCulled = false;
    this.scene.add(this.line);
    this.meshes = [];
    for (let id = 0; id < model.ngeom; id++) this.addGeom(model, id);
  }

  addGeom(model, id) {
    const type = model.geom_type[id];
    if (type === PLANE) return;
    const rgba = model.geom_rgba.subarray(4 * id, 4 * id + 4);
    const color = new THREE.Color().setRGB(...rgba.subarray(0, 3), THREE.SRGBColorSpace);
    const material = new THREE.MeshStandardMaterial({ color, roughness: 0.7 });
    const mesh = new THREE.Mesh(SHAPES[type](model.geom_size.subarray(3 * id, 3 * id + 3)), material);
    mesh.castShadow = mesh.receiveShadow = true;
    mesh.matrixAutoUpdate = false;
    this.meshes.push([id, mesh]);
    this.scene.add(mesh);
  }

  /** Draws a state of `MjData` and a line on the floor; the camera follows `focus`, a position there. */
  draw(data, focus, line) {
    this.line.geometry.dispose(); // its size is fixed
    const points = line.map(([x, y]) => new THREE.Vector3(x, y, LINE_HEIGHT_M));
    this.line.geometry = new THREE.BufferGeometry().setFromPoints(points);
    const { geom_xpos: pos, geom_xmat: mat } = data;
    for (const [id, mesh] of this.meshes) {
      const [a, b, c, d, e, f, g, h, i] = mat.subarray(9 * id, 9 * id + 9);
      const [x, y, z] = pos.subarray(3 * id, 3 * id + 3);
      mesh.matrix.set(a, b, c, x, d, e, f, y, g, h, i, z, 0, 0, 0, 1);
    }
    const { target } = this.controls;
    const moved = new THREE.Vector3(focus[0] - target.x, focus[1] - target.y, 0);
    target.add(moved);
    this.camera.position.add(moved);
    this.controls.update();
    this.sun.target.position.set(focus[0], focus[1], 0);
    this.sun.position.set(focus[0] - 2, focus[1] - 1, 6);
    this.floor.position.set(...focus.slice(0, 2).map((value) => TILE_M * Math.round(value / TILE_M)), 0);
    this.resize();
    this.renderer.render(this.scene, this.camera);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.renderer.domElement;
    const ratio = Math.min(devicePixelRatio, 2);
    const size = this.renderer.getSize(new THREE.Vector2());
    if (size.x === width && size.y === height) return;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
  }

  /** Angle on the floor, in rad, in which the camera looks. */
  get yaw() {
    const { x, y } = this.controls.target.clone().sub(this.camera.position);
    return Math.atan2(y, x);
  }

  /** The point on the floor under a pointer event, `[x, y]`, or null above the horizon. */
  floorPoint({ clientX, clientY }) {
    const { left, top, width, height } = this.renderer.domElement.getBoundingClientRect();
    const at = new THREE.Vector2((2 * (clientX - left)) / width - 1, 1 - (2 * (clientY - top)) / height);
    const caster = new THREE.Raycaster();
    caster.setFromCamera(at, this.camera);
    const point = caster.ray.intersectPlane(new THREE.Plane(new THREE.Vector3(0, 0, 1), 0), new THREE.Vector3());
    return point && [point.x, point.y];
  }
}
