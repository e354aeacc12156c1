// Both films on two canvases: linked zoom, window, flicker, difference, regions.
const MILLISECONDS = 700, MAX_ZOOM = 12, DIFFERENCE_SIDE = 768, GAIN = 2.2, SILENT = 22;
const ROLES = ["reference", "main"], TITLES = { reference: "Prior", main: "Current" };
const LETTER = 8; // pixels of a letter, about
const SVG = "http://www.w3.org/2000/svg";
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class Viewer {
  constructor(root) {
    this.root = root;
    this.panes = Object.fromEntries(ROLES.map((role) => {
      const pane = root.querySelector(`.pane[data-role="${role}"]`);
      return [role, { pane, caption: pane.querySelector("figcaption"), stage: pane.querySelector(".stage"),
        canvas: pane.querySelector("canvas"), svg: pane.querySelector("svg") }];
    }));
    this.films = {};
    this.regions = [];
    this.selected = null;
    this.hasBoxes = false;
    this.timer = 0;
    this.mode = "side";
    this.shown = "main";
    this.pointers = new Map();
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.window = { level: 128, width: 256, isInverted: false };
    for (const role of ROLES) this.listen(this.panes[role]);
    for (const name of ["level", "width"]) {
      root.querySelector(`#${name}`).addEventListener("input", (event) => {
        this.window[name] = Number(event.target.value);
        this.draw();
      });
    }
    new ResizeObserver(() => this.place()).observe(root.querySelector(".panes"));
  }

  // films: {reference, main}, with grey values
  show(films) {
    this.films = films;
    this.toned = {};
    this.difference = null;
    this.regions = [];
    this.selected = null;
    this.setMode("side");
    this.resetView();
  }

  // regions: [{image, finding, box, color}]
  setRegions(regions) {
    this.regions = regions;
    this.selected = null;
    this.place();
  }

  select(finding) {
    this.selected = this.selected === finding ? null : finding;
    this.place();
    return this.selected;
  }

  toggleBoxes() {
    this.hasBoxes = !this.hasBoxes;
    this.selected = null;
    this.press("boxes", this.hasBoxes);
    this.place();
  }

  setMode(mode) {
    clearInterval(this.timer);
    this.timer = 0;
    this.mode = mode;
    this.root.dataset.mode = mode;
    for (const name of ["side", "flicker", "difference"]) this.press(name, name === mode);
    if (mode === "flicker") this.timer = setInterval(() => this.other(), MILLISECONDS);
    this.draw();
  }

  // The other film in the same frame; stops a flicker that runs by itself.
  step() {
    if (this.mode !== "flicker") this.setMode("flicker");
    clearInterval(this.timer);
    this.timer = 0;
    this.other();
  }

  other() {
    this.shown = this.shown === "main" ? "reference" : "main";
    this.draw();
  }

  press(name, isOn) {
    this.root.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", isOn);
  }

  invert() {
    this.window.isInverted = !this.window.isInverted;
    this.press("invert", this.window.isInverted);
    this.draw();
  }

  resetView() {
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.window = { level: 128, width: 256, isInverted: false };
    this.press("invert", false);
    this.draw();
  }

  zoomBy(factor, x = this.view.x, y = this.view.y) {
    const zoom = clamp(this.view.zoom * factor, 1, MAX_ZOOM), ratio = this.view.zoom / zoom;
    this.moveTo(x - (x - this.view.x) * ratio, y - (y - this.view.y) * ratio, zoom);
  }

  moveTo(x, y, zoom = this.view.zoom) {
    const half = 0.5 / zoom;
    this.view = { zoom, x: clamp(x, half, 1 - half), y: clamp(y, half, 1 - half) };
    this.place();
  }

  // What a pane shows: a role, or both films as their difference.
  shownIn(role) {
    if (this.mode === "side") return role;
    if (role === "reference") return null;
    return this.mode === "flicker" ? this.shown : "difference";
  }

  draw() {
    for (const name of ["level", "width"]) this.root.querySelector(`#${name}`).value = this.window[name];
    this.toned = {};
    this.place();
  }

  // Draw both panes at the present zoom.
  place() {
    if (!this.films.reference || !this.films.main) return;
    this.root.querySelector("#zoom").textContent = `${Math.round(100 * this.view.zoom)}%`;
    const legend = { side: "", flicker: "", difference:
      "Difference of equalised grey values: orange is brighter in the current film, blue is darker. " +
      "The films are not registered: a shift of the patient shows as a difference." }[this.mode];
    this.root.querySelector("#legend").textContent = legend;
    for (const role of ROLES) {
      const shown = this.shownIn(role), pane = this.panes[role];
      pane.pane.hidden = shown === null;
      if (shown !== null) this.paint(pane, shown);
    }
  }

  paint(pane, shown) {
    const film = this.films[shown === "difference" ? "main" : shown];
    const picture = shown === "difference" ? this.differencePicture() : this.tonedPicture(shown);
    pane.pane.dataset.shown = shown;
    pane.caption.replaceChildren(this.caption(shown, film));
    const width = pane.stage.clientWidth, height = pane.stage.clientHeight;
    if (!width || !height) return;
    const dots = window.devicePixelRatio || 1;
    pane.canvas.width = Math.round(width * dots);
    pane.canvas.height = Math.round(height * dots);
    const frame = this.frame(film, width, height);
    const context = pane.canvas.getContext("2d");
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.imageSmoothingEnabled = frame.scale < 3;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, frame.left, frame.top, frame.width, frame.height);
    this.drawRegions(pane, shown, frame, width, height);
  }

  caption(shown, film) {
    const line = document.createElement("span"), title = document.createElement("b");
    title.textContent = shown === "difference" ? "Difference" : TITLES[shown];
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = shown === "difference" ? "current minus prior" : film.name;
    const size = document.createElement("span");
    size.textContent = shown === "difference" ? "" : `${film.height} × ${film.width}`;
    line.append(title, name, size);
    return line;
  }

  // Where the complete film is, in pixels of the stage.
  frame(film, width, height) {
    const scale = Math.min(width / film.columns, height / film.rows) * this.view.zoom;
    const frame = { scale, width: film.columns * scale, height: film.rows * scale };
    const inside = (size, total, centre) => (size <= total ? (total - size) / 2
      : clamp(total / 2 - centre * size, total - size, 0));
    frame.left = inside(frame.width, width, this.view.x);
    frame.top = inside(frame.height, height, this.view.y);
    return frame;
  }

  drawRegions(pane, shown, frame, width, height) {
    pane.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const items = this.regions.filter((item) => shown !== "difference" && item.image === shown && item.box &&
      (this.selected === null ? this.hasBoxes : item.finding === this.selected));
    pane.svg.replaceChildren(...items.flatMap((item, index) => {
      const left = frame.left + item.box.x_min * frame.width, top = frame.top + item.box.y_min * frame.height;
      const rect = element("rect", { x: left, y: top,
        width: (item.box.x_max - item.box.x_min) * frame.width,
        height: (item.box.y_max - item.box.y_min) * frame.height });
      const room = width - LETTER * item.finding.length; // labels stay inside the pane
      const label = element("text", { x: clamp(left + 5, 2, Math.max(2, room)), y: top + 17 + 18 * this.overlaps(items, index) });
      label.textContent = item.finding;
      for (const part of [rect, label]) {
        part.setAttribute("class", `color-${item.color}`);
        part.dataset.finding = item.finding;
      }
      return [rect, label];
    }));
  }

  // How many earlier boxes start at about the same corner, so that labels do not cover each other.
  overlaps(items, index) {
    const near = (a, b) => Math.abs(a.box.x_min - b.box.x_min) < 0.15 && Math.abs(a.box.y_min - b.box.y_min) < 0.04;
    return items.slice(0, index).filter((item) => near(item, items[index])).length;
  }

  tonedPicture(role) {
    if (!this.toned[role]) {
      const { level, width, isInverted } = this.window;
      const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => {
        const tone = 255 * (value - level) / width + 127.5;
        return isInverted ? 255 - tone : tone;
      });
      const film = this.films[role];
      this.toned[role] = picture(film.columns, film.rows, (index, out) => {
        out.fill(table[film.grey[index]], 4 * index, 4 * index + 3);
      });
    }
    return this.toned[role];
  }

  differencePicture() {
    if (!this.difference) {
      const { reference, main } = this.films;
      const scale = Math.min(1, DIFFERENCE_SIDE / Math.max(main.columns, main.rows));
      const columns = Math.round(main.columns * scale), rows = Math.round(main.rows * scale);
      const before = reduced(reference, columns, rows), after = reduced(main, columns, rows);
      this.difference = picture(columns, rows, (index, out) => {
        const change = after[index] - before[index], base = 0.35 * after[index];
        const part = clamp(GAIN * Math.max(0, Math.abs(change) - SILENT) / 255, 0, 1);
        const color = change > 0 ? [255, 150, 40] : [70, 150, 255];
        for (let channel = 0; channel < 3; channel += 1) {
          out[4 * index + channel] = base * (1 - part) + color[channel] * part;
        }
      });
    }
    return this.difference;
  }

  listen({ stage }) {
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", () => this.resetView());
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const at = this.fractionAt(stage, event);
      this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, at.x, at.y);
    }, { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      stage.setPointerCapture(event.pointerId);
      this.isToning = event.button === 2 || event.shiftKey;
    });
    stage.addEventListener("pointermove", (event) => this.drag(stage, event));
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
  }

  drag(stage, event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const x = event.clientX - last.x, y = event.clientY - last.y;
    const others = Array.from(this.pointers.entries()).filter(([id]) => id !== event.pointerId);
    if (others.length === 1) {
      const [, other] = others[0], distance = (at) => Math.hypot(at.x - other.x, at.y - other.y);
      this.zoomBy(distance({ x: event.clientX, y: event.clientY }) / Math.max(1, distance(last)));
    } else if (this.isToning) {
      this.window.width = clamp(this.window.width + x, 8, 510);
      this.window.level = clamp(this.window.level + y, 0, 255);
      this.draw();
    } else if (this.view.zoom > 1) {
      const frame = this.frame(this.films.main, stage.clientWidth, stage.clientHeight);
      this.moveTo(this.view.x - x / frame.width, this.view.y - y / frame.height);
    }
    last.x = event.clientX;
    last.y = event.clientY;
  }

  // A point of the stage in fractions of the film.
  fractionAt(stage, event) {
    const area = stage.getBoundingClientRect();
    const frame = this.frame(this.films.main, area.width, area.height);
    return { x: clamp((event.clientX - area.left - frame.left) / frame.width, 0, 1),
      y: clamp((event.clientY - area.top - frame.top) / frame.height, 0, 1) };
  }
}

function element(name, values) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
  return made;
}

function picture(columns, rows, fill) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  image.data.fill(255);
  for (let index = 0; index < columns * rows; index += 1) fill(index, image.data);
  context.putImageData(image, 0, 0);
  return canvas;
}

// Equalised grey values at another size: the mean of the pixels that fall on each new one.
function reduced(film, columns, rows) {
  const counts = new Float64Array(256), table = new Float64Array(256);
  for (const value of film.grey) counts[value] += 1;
  for (let value = 0, below = 0; value < 256; value += 1) {
    table[value] = 255 * (below + counts[value] / 2) / film.grey.length;
    below += counts[value];
  }
  const values = new Float32Array(columns * rows);
  for (let row = 0; row < rows; row += 1) {
    const top = Math.floor(row * film.rows / rows), bottom = Math.max(top + 1, Math.floor((row + 1) * film.rows / rows));
    for (let column = 0; column < columns; column += 1) {
      const left = Math.floor(column * film.columns / columns);
      const right = Math.max(left + 1, Math.floor((column + 1) * film.columns / columns));
      let sum = 0;
      for (let y = top; y < bottom; y += 1) for (let x = left; x < right; x += 1) sum += table[film.grey[y * film.columns + x]];
      values[row * columns + column] = sum / ((bottom - top) * (right - left));
    }
  }
  return values;
}
