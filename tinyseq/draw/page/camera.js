// Zoom and pan: which part of the picture is seen, by wheel, drag, two fingers and keys.

const MOST_ZOOM = 6, LEGIBLE = 0.5, MOST_FIT = 1.7;

class Camera {
  constructor(svg, world, onMove) {
    this.svg = svg;
    this.world = world;
    this.onMove = onMove;
    this.view = { x: 0, y: 0, scale: 1 };
    this.fingers = new Map();
    svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.drag(event));
    for (const kind of ["pointerup", "pointercancel"]) svg.addEventListener(kind, (event) => this.release(event));
  }

  set(view, byHand = false) {
    this.view = view;
    this.byHand = byHand;
    const { x, y, scale } = view;
    this.world.setAttribute("transform", `translate(${x.toFixed(2)},${y.toFixed(2)}) scale(${scale.toFixed(4)})`);
    this.onMove();
  }

  /** The view that shows a box; with `legible`, its left part rather than all of it too small. */
  fitting(box, legible) {
    const { clientWidth: width, clientHeight: height } = this.svg;
    const margin = Math.min(28, width / 20);
    const w = Math.max(box.right - box.left, 1), h = Math.max(box.bottom - box.top, 1);
    const fit = Math.min((width - 2 * margin) / w, (height - 2 * margin) / h, MOST_FIT);
    const scale = Math.max(fit, legible ? Math.min(LEGIBLE, (height - 2 * margin) / h) : 0.01);
    const left = w * scale > width - 2 * margin ? margin : (width - w * scale) / 2;
    return { scale, x: left - box.left * scale, y: (height - h * scale) / 2 - box.top * scale };
  }

  zoom(factor, x = this.svg.clientWidth / 2, y = this.svg.clientHeight / 2) {
    const { view } = this;
    const scale = Math.max(0.02, Math.min(MOST_ZOOM, view.scale * factor));
    const part = scale / view.scale;
    this.set({ scale, x: x - (x - view.x) * part, y: y - (y - view.y) * part }, true);
  }

  pan(dx, dy) {
    this.set({ ...this.view, x: this.view.x + dx, y: this.view.y + dy }, true);
  }

  /** Bring a box of the screen into view, if it is not. */
  reveal(box) {
    const frame = this.svg.getBoundingClientRect();
    const over = (low, high, least, most) => (low < least ? least - low + 20 : high > most ? most - high - 20 : 0);
    const dx = over(box.left, box.right, frame.left, frame.right);
    const dy = over(box.top, box.bottom, frame.top, frame.bottom);
    if (dx || dy) this.pan(dx, dy);
  }

  wheel(event) {
    event.preventDefault();
    const frame = this.svg.getBoundingClientRect();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * 0.0015), event.clientX - frame.left, event.clientY - frame.top);
  }

  press(event) {
    if (event.button !== 0) return;
    this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.fingers.size === 1) {
      this.start = [event.clientX, event.clientY];
      this.dragged = false;
    }
  }

  drag(event) {
    if (!this.fingers.has(event.pointerId)) return;
    const before = this.fingers.get(event.pointerId), now = [event.clientX, event.clientY];
    if (this.fingers.size === 1 && !this.dragged) {
      if (Math.hypot(now[0] - this.start[0], now[1] - this.start[1]) < 4) return;
      this.svg.setPointerCapture(event.pointerId);
      this.svg.classList.add("dragged");
    }
    this.dragged = true;
    this.fingers.set(event.pointerId, now);
    if (this.fingers.size === 1) {
      this.pan(now[0] - before[0], now[1] - before[1]);
    } else if (this.fingers.size === 2) {
      const other = [...this.fingers].find(([id]) => id !== event.pointerId)[1];
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      const frame = this.svg.getBoundingClientRect();
      this.zoom(apart(now) / (apart(before) || 1), (now[0] + other[0]) / 2 - frame.left, (now[1] + other[1]) / 2 - frame.top);
      this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    }
  }

  release(event) {
    this.fingers.delete(event.pointerId);
    if (!this.fingers.size) this.svg.classList.remove("dragged");
  }
}
