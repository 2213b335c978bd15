// A maze on a grid of square cells, as in tasks/common/maze.py. The centre of the cell in row r and column c of H x W
// lies at x = (c - (W - 1) / 2) cell, y = (r - (H - 1) / 2) cell; flat index r W + c. Positions are [x, y, ...] in m.

const FAR_CELLS = 1e4; // length of a path where there is none
const BURIED_M = -10;
const BORDER_BOXES = 4; // the scene's first boxes; one for each inner cell follows
const CLEAR_M = 0.6; // from a body to a wall that may be drawn

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

export class Maze {
  /** @param given `rows` from the lowest y (`#` wall, `.` free), and lengths in m, as start.json has them */
  constructor(given) {
    Object.assign(this, given);
    this.setRows(given.rows);
  }

  /** Takes the walls of another drawing of the same size. */
  setRows(rows) {
    [this.height, this.width] = [rows.length, rows[0].length];
    this.walls = rows.flatMap((line) => [...line].map((mark) => mark === "#"));
    this.paths = new Map();
  }

  /** Continuous column and row of a position; integers are centres. */
  grid([x, y]) {
    return [x / this.cell_m + 0.5 * (this.width - 1), y / this.cell_m + 0.5 * (this.height - 1)];
  }

  centre(cell) {
    const [row, column] = [Math.floor(cell / this.width), cell % this.width];
    return [(column - 0.5 * (this.width - 1)) * this.cell_m, (row - 0.5 * (this.height - 1)) * this.cell_m];
  }

  cellOf(pos) {
    const [column, row] = this.grid(pos).map((value) => Math.floor(value + 0.5));
    return clamp(row, 0, this.height - 1) * this.width + clamp(column, 0, this.width - 1);
  }

  /** Outside is wall. */
  isWall(row, column) {
    return this.walls[clamp(row, 0, this.height - 1) * this.width + clamp(column, 0, this.width - 1)];
  }

  isInner(cell) {
    const [row, column] = [Math.floor(cell / this.width), cell % this.width];
    return row > 0 && row < this.height - 1 && column > 0 && column < this.width - 1;
  }

  /** Lengths in cells of the shortest paths from each cell to a goal, by breadth-first search. */
  pathsTo(goal) {
    if (this.paths.has(goal)) return this.paths.get(goal);
    const steps = new Array(this.walls.length).fill(FAR_CELLS);
    if (!this.walls[goal]) steps[goal] = 0;
    for (let front = [goal]; front.length && !this.walls[goal]; ) {
      const next = [];
      for (const cell of front) {
        for (const beside of this.neighbours(cell)) {
          if (this.walls[beside] || steps[beside] < FAR_CELLS) continue;
          steps[beside] = steps[cell] + 1;
          next.push(beside);
        }
      }
      front = next;
    }
    this.paths.set(goal, steps);
    return steps;
  }

  /** Cells beside one that is not on the border, in the order in which paths prefer them. */
  neighbours(cell) {
    return [cell - this.width, cell + this.width, cell - 1, cell + 1];
  }

  /** Distance in m to a goal along the corridors, see `potential_m`. */
  potential(pos, goal) {
    const steps = this.pathsTo(goal);
    const [u, v] = this.grid(pos);
    const left = clamp(Math.floor(u), 0, this.width - 2);
    const low = clamp(Math.floor(v), 0, this.height - 2);
    const across = [clamp(u - left, 0, 1), clamp(u - left - 1, -1, 0)].map(Math.abs);
    const along = [clamp(v - low, 0, 1), clamp(v - low - 1, -1, 0)].map(Math.abs);
    const corners = [[0, 0], [0, 1], [1, 0], [1, 1]]; // rows and columns of the four surrounding cells
    const at = (table, i, j) => table[(low + i) * this.width + left + j];
    const open = (i, j) => !at(this.walls, i, j);
    const joined = (i, j) =>
      open(i, j) && ((across[j] <= 0.5 && along[i] <= 0.5) || open(1 - i, j) || open(i, 1 - j));
    const free = corners.some(([i, j]) => joined(i, j)) ? joined : open;
    let sum = 0;
    for (const [i, j] of corners) {
      let value = at(steps, i, j);
      if (!free(i, j)) {
        const beside = free(i, 1 - j) ? across[j] : 0;
        const above = free(1 - i, j) ? along[i] : 0;
        const total = beside + above;
        value =
          total > 1e-6
            ? (beside * at(steps, i, 1 - j) + above * at(steps, 1 - i, j)) / total
            : at(steps, 1 - i, 1 - j);
      }
      sum += (1 - across[j]) * (1 - along[i]) * value;
    }
    return sum * this.cell_m;
  }

  /** Distance in m to a goal position along the corridors, in its cell the straight one where goals lie off its middle. */
  wayLeft(pos, target) {
    const way = this.potential(pos, this.cellOf(target));
    if (!this.goal_noise) return way;
    const straight = distance(target, pos);
    return straight + Math.min(way / this.cell_m, 1) * (way - straight);
  }

  /** Centres of the next cells on a shortest path, see `way_points_m`. */
  wayPoints(pos, target, count) {
    const goal = this.cellOf(target);
    const steps = this.pathsTo(goal);
    let cell = this.cellOf(pos);
    return Array.from({ length: count }, () => {
      if (steps[cell] < FAR_CELLS) cell = this.neighbours(cell).reduce((a, b) => (steps[b] < steps[a] ? b : a), cell);
      return cell === goal ? target : this.centre(cell);
    });
  }

  /** Distance in m along a unit vector to the nearest wall, at most `range_m`, see `ray_distances_m`. */
  ray(pos, [dx, dy], range_m) {
    const reach = range_m / this.cell_m;
    const lines = Math.floor(reach) + 2;
    const [u, v] = this.grid(pos);
    let nearest = reach;
    const cross = (start, speed, hits) => {
      const ahead = speed < 0 ? -1 : 1;
      const cell = Math.floor(start + 0.5);
      for (let line = 0; line < lines; line++) {
        const time = ((cell + ahead * (line + 0.5) - start) * ahead) / Math.max(Math.abs(speed), 1e-6);
        if (time < nearest && hits(time, cell + ahead * (line + 1))) nearest = time;
      }
    };
    cross(u, dx, (time, column) => this.isWall(Math.floor(v + time * dy + 0.5), column));
    cross(v, dy, (time, row) => this.isWall(row, Math.floor(u + time * dx + 0.5)));
    return nearest * this.cell_m;
  }

  /** Local map aligned with a unit vector, without its middle, see `occupancy_window`. */
  around(pos, [cosine, sine], radius) {
    const [u, v] = this.grid(pos);
    const values = [];
    for (let ahead = -radius; ahead <= radius; ahead++) {
      for (let left = -radius; left <= radius; left++) {
        if (!ahead && !left) continue;
        const column = Math.floor(u + cosine * ahead - sine * left + 0.5);
        values.push(Number(this.isWall(Math.floor(v + sine * ahead + cosine * left + 0.5), column)));
      }
    }
    return values;
  }

  /** A position, or the centre of the nearest free cell if it is in a wall. */
  free(pos) {
    return this.walls[this.cellOf(pos)] ? this.nearest(pos, (cell) => !this.walls[cell]) : pos.slice(0, 2);
  }

  /** Lengths in cells of the paths from where a body is. */
  pathsFrom(body) {
    return this.pathsTo(this.cellOf(this.free(body)));
  }

  /** Centre of the cell nearest to a position that a body can walk to; the body itself may be pressed against a wall. */
  reachable(pos, body) {
    const steps = this.pathsFrom(body);
    return this.nearest(pos, (cell) => steps[cell] < FAR_CELLS);
  }

  nearest(pos, allowed) {
    const centres = this.walls.flatMap((_, cell) => (allowed(cell) ? [this.centre(cell)] : []));
    return centres.reduce((a, b) => (distance(b, pos) < distance(a, pos) ? b : a));
  }

  /** Centre of any cell that a body can walk to, two or more away if there is one. */
  anyGoal(body) {
    const steps = this.pathsFrom(body);
    const farthest = Math.max(...steps.filter((value) => value < FAR_CELLS));
    const least = Math.min(farthest, 2);
    const cells = steps.flatMap((value, cell) => (value >= least && value < FAR_CELLS ? [cell] : []));
    return this.centre(cells[Math.floor(Math.random() * cells.length)]);
  }

  /** Draws or removes the wall of an inner cell; not where a body stands. Says whether anything has changed. */
  draw(cell, wall, body) {
    const [x, y] = this.centre(cell).map((value, i) => Math.max(Math.abs(value - body[i]) - 0.5 * this.cell_m, 0));
    if (!this.isInner(cell) || this.walls[cell] === wall || (wall && Math.hypot(x, y) < CLEAR_M)) return false;
    this.walls[cell] = wall;
    this.paths = new Map();
    return true;
  }

  /** Puts the boxes of MuJoCo's `MjData` where the walls are, and the others below the floor. */
  place(mocap_pos) {
    let box = BORDER_BOXES;
    this.walls.forEach((wall, cell) => {
      if (!this.isInner(cell)) return;
      mocap_pos.set([...this.centre(cell), wall ? 0.5 * this.wall_height_m : BURIED_M], 3 * box++);
    });
  }

  get boxes() {
    return BORDER_BOXES + (this.height - 2) * (this.width - 2);
  }
}
