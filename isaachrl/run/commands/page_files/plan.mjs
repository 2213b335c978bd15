// A plan of the maze, on which walls are drawn and removed.

const COLORS = { "#": "#8d8578", ".": "#eef1f4", line: "#c3c9cf", way: "#4a7fc1", goal: "#d8503c", body: "#2b2f36" };

export class Plan {
  /**
   * @param canvas where it is drawn
   * @param simulation what has the maze
   */
  constructor(canvas, simulation) {
    Object.assign(this, { canvas, simulation });
    const { width, height } = simulation.maze;
    this.side = Math.max(Math.floor(Math.min(260 / width, 260 / height)), 8);
    canvas.width = width * this.side;
    canvas.height = height * this.side;
    let wall = null; // what a drag draws
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      wall = !simulation.maze.walls[this.cell(event)];
      this.draw(event, wall);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && wall !== null && this.draw(event, wall));
    canvas.addEventListener("pointerup", () => (wall = null));
  }

  /** The cell under a pointer event. */
  cell({ clientX, clientY }) {
    const { left, bottom, width, height } = this.canvas.getBoundingClientRect();
    const { maze } = this.simulation;
    const column = Math.floor(((clientX - left) / width) * maze.width);
    const row = Math.floor(((bottom - clientY) / height) * maze.height);
    return Math.min(Math.max(row, 0), maze.height - 1) * maze.width + Math.min(Math.max(column, 0), maze.width - 1);
  }

  draw(event, wall) {
    if (this.simulation.maze.draw(this.cell(event), wall, this.simulation.root.pos)) this.simulation.wallsMoved();
  }

  /** Removes all walls but those at the rim. */
  clear() {
    const { maze, root } = this.simulation;
    maze.walls.forEach((_, cell) => maze.draw(cell, false, root.pos));
    this.simulation.wallsMoved();
  }

  /** Shows the present state. */
  show() {
    const pen = this.canvas.getContext("2d");
    const { maze, root, command } = this.simulation;
    const { side } = this;
    const at = (pos) => {
      const [column, row] = maze.grid(pos);
      return [(column + 0.5) * side, (maze.height - row - 0.5) * side];
    };
    maze.walls.forEach((wall, cell) => {
      const [x, y] = at(maze.centre(cell));
      pen.fillStyle = COLORS[wall ? "#" : "."];
      pen.fillRect(x - side / 2, y - side / 2, side, side);
      pen.strokeStyle = COLORS.line;
      pen.strokeRect(x - side / 2, y - side / 2, side, side);
    });
    const stroke = (points, color) => {
      pen.beginPath();
      for (const point of points) pen.lineTo(...at(point));
      pen.strokeStyle = color;
      pen.lineWidth = 2;
      pen.stroke();
      pen.lineWidth = 1;
    };
    const disc = (pos, color) => {
      pen.beginPath();
      pen.arc(...at(pos), side / 4, 0, 2 * Math.PI);
      pen.fillStyle = color;
      pen.fill();
    };
    stroke([root.pos, ...maze.wayPoints(root.pos, command.target, maze.walls.length)], COLORS.way);
    disc(command.target, COLORS.goal);
    disc(root.pos, COLORS.body);
    stroke([root.pos, root.ahead.map((value, i) => root.pos[i] + 0.5 * maze.cell_m * value)], COLORS.body);
  }
}
