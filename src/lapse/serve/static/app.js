// The page: films in, pairs, answers, keys.
import { ServiceError, call, droppedFiles, forget, post, sendAgain, sendFilm, setToken, sortedFiles } from "./films.js";
import { colorsOf, make, renderAnswer, renderRefusal, renderReports } from "./answer.js";
import { Viewer } from "./viewer.js";

const get = (id) => document.getElementById(id);
const viewer = new Viewer(get("work"));
const panel = get("answer");
const chosen = {}; // role -> a file that waits for its partner
let service = { has_reports: false, timeline_films: 32, allow_unusual: false, guarded: true };
let films = [], days = [], current = 0, run = 0;
const answers = new Map(); // pair -> answer or error
const reports = new Map(); // id of a film -> text

const pairOf = (index) => ({ reference: films[index], main: films[index + 1] });
const keyOf = ({ reference, main }) => `${reference.number} ${main.number}`;
const onWait = (seconds) => say(`The service is busy; next try in ${seconds} s.`);
function say(text, isBad = false) {
  get("status").textContent = text;
  get("status").classList.toggle("bad", isBad);
}

// --- films

async function take(files, role = "") {
  if (!files.length) return;
  if (files.length === 1 && (role || !films.length)) {
    const target = role || (chosen.reference ? "main" : "reference");
    chosen[target] = files[0];
    const drop = document.querySelector(`.drop[data-role="${target}"]`);
    drop.classList.add("full");
    drop.querySelector("span").textContent = files[0].name;
    if (!chosen.reference || !chosen.main) return;
    await load([chosen.reference, chosen.main], { isOrdered: true });
  } else await load(sortedFiles(files), { isOrdered: false });
}

async function load(files, { isOrdered }) {
  const id = ++run, skipped = [], sent = [];
  const tooMany = files.slice(service.timeline_films);
  for (const [index, file] of files.slice(0, service.timeline_films).entries()) {
    say(`Reading film ${index + 1} of ${Math.min(files.length, service.timeline_films)} …`);
    try {
      const film = await sendFilm(file, { onWait });
      if (id !== run) return void forget(film);
      sent.push({ ...film, number: sent.length });
    } catch (error) {
      skipped.push([file.name, await explain(error)]);
    }
  }
  skipped.push(...tooMany.map((file) => [file.name, `More than ${service.timeline_films} films.`]));
  listSkipped(skipped);
  if (id !== run) return;
  if (sent.length < 2) {
    for (const film of sent) forget(film);
    resetDrops();
    say("Two films that can be read are needed.", true);
    return;
  }
  for (const film of films) forget(film);
  films = sent;
  days = films.slice(1).map(() => null);
  let order = isOrdered ? "" : "Ordered by file name.";
  if (!isOrdered) {
    const timeline = await post("/api/timelines", { films: films.map((film) => film.id) });
    films = timeline.films.map((name) => films.find((film) => film.id === name));
    days = timeline.days;
    if (timeline.is_dated) order = "Ordered by the dates in the files.";
  }
  answers.clear();
  reports.clear();
  get("intake").hidden = true;
  get("new").hidden = false;
  document.querySelector('[data-do="exchange"]').hidden = films.length !== 2;
  get("work").hidden = false;
  say(order);
  showPair(0);
  for (let index = 0; index + 1 < films.length && id === run; index += 1) await compare(index);
}

function listSkipped(skipped) {
  const list = get("skipped");
  list.hidden = !skipped.length;
  list.replaceChildren(...skipped.map(([name, reason]) => {
    const line = make("li");
    line.append(make("b", name), ` ${reason}`);
    return line;
  }));
}

async function explain(error) {
  if (!(error instanceof ServiceError)) return "The service does not answer.";
  if (error.code === "unauthorized") await requestToken();
  return error.message;
}

function resetDrops() {
  for (const drop of document.querySelectorAll(".drop")) {
    delete chosen[drop.dataset.role];
    drop.classList.remove("full");
    drop.querySelector("span").textContent = drop.dataset.role === "main" ? "later" : "earlier";
  }
}

function startAgain() {
  run += 1;
  for (const film of films) forget(film);
  films = [];
  resetDrops();
  listSkipped([]);
  say("");
  get("work").hidden = get("new").hidden = get("timeline").hidden = true;
  get("intake").hidden = false;
  get("several").focus();
}

// --- answers

async function compare(index, allowUnusual = false) {
  const pair = pairOf(index), key = keyOf(pair), id = run;
  const send = () => post("/api/comparisons", { reference: pair.reference.id, main: pair.main.id,
    allow_unusual: allowUnusual }, { onWait });
  let result;
  if (index === current) panel.replaceChildren(make("p", "The model compares the films …", "quiet"));
  try {
    try {
      result = await send();
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== "unknown-film") throw error;
      for (const film of [pair.reference, pair.main]) await sendAgain(film, { onWait });
      result = await send();
    }
  } catch (error) {
    result = error instanceof ServiceError ? error : new ServiceError("offline", "The service does not answer.");
  }
  if (id !== run) return;
  answers.set(key, result);
  showTimeline();
  if (key === keyOf(pairOf(current))) await showAnswer();
}

async function showAnswer() {
  const pair = pairOf(current), key = keyOf(pair), answer = answers.get(key);
  panel.dataset.state = answer ? (answer instanceof ServiceError ? "refused" : "answered") : "waiting";
  if (!answer) {
    panel.replaceChildren(make("p", "The model compares the films …", "quiet"));
    return;
  }
  if (answer instanceof ServiceError) {
    renderRefusal(panel, answer, () => compare(current, true));
    return;
  }
  const colors = colorsOf(answer);
  renderAnswer(panel, answer, { onSelect: select, onSave: () => save(answer) });
  viewer.setRegions(answer.regions.map((item) => ({ ...item, color: colors.get(item.finding) ?? 0 })));
  if (service.has_reports) await showReports(pair, key);
}

async function showReports(pair, key) {
  const titled = { reference: "Prior", main: "Current" }, id = run;
  const render = () => renderReports(panel, Object.entries(titled).map(([role, title]) => (
    { title, text: reports.get(pair[role].number) ?? null })));
  render();
  for (const role of Object.keys(titled)) {
    const film = pair[role];
    if (reports.has(film.number)) continue;
    try {
      const answer = await post("/api/reports", { film: film.id, allow_unusual: true }, { onWait });
      reports.set(film.number, answer.report || "(empty)");
    } catch (error) {
      reports.set(film.number, await explain(error));
    }
    if (id !== run || key !== keyOf(pairOf(current))) return;
    render();
  }
}

function select(finding) {
  const selected = viewer.select(finding);
  for (const button of panel.querySelectorAll("button.change")) {
    button.setAttribute("aria-pressed", button.dataset.finding === selected);
  }
}

function save(answer) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(answer, null, 1)], { type: "application/json" }));
  link.download = "comparison.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// --- pairs of a folder

function showPair(index) {
  current = Math.max(0, Math.min(films.length - 2, index));
  viewer.show(pairOf(current));
  showTimeline();
  showAnswer();
}

function showTimeline() {
  const list = get("timeline");
  list.hidden = films.length < 3;
  if (list.hidden) return;
  list.replaceChildren(...films.flatMap((film, index) => {
    const item = make("span", "", "film");
    item.append(make("b", `Film ${index + 1}`), make("span", film.name, "name"));
    if (index + 1 === films.length) return [item];
    const button = make("button", "", "pair");
    button.type = "button";
    button.setAttribute("aria-current", index === current);
    button.title = brief(index); // also where it is cut
    button.append(make("span", days[index] === null ? "→" : `${days[index]} ${days[index] === 1 ? "day" : "days"} →`), make("b", brief(index)));
    button.addEventListener("click", () => showPair(index));
    return [item, button];
  }));
  list.querySelector('[aria-current="true"]').scrollIntoView({ block: "nearest", inline: "nearest" });
}

function brief(index) {
  const answer = answers.get(keyOf(pairOf(index)));
  if (!answer) return "…";
  if (answer instanceof ServiceError) return "refused";
  const marks = { added: "+", missing: "−" };
  return answer.changes.map((change) => `${marks[change.kind] || "±"} ${change.finding}`).join(", ") || answer.status;
}

async function exchange() {
  if (films.length !== 2) return;
  films.reverse();
  days = [null];
  showPair(0);
  if (!answers.has(keyOf(pairOf(0)))) await compare(0);
}

// --- events

const actions = {
  side: () => viewer.setMode("side"),
  flicker: () => viewer.setMode(viewer.mode === "flicker" ? "side" : "flicker"),
  difference: () => viewer.setMode(viewer.mode === "difference" ? "side" : "difference"),
  in: () => viewer.zoomBy(1.3),
  out: () => viewer.zoomBy(1 / 1.3),
  reset: () => viewer.resetView(),
  invert: () => viewer.invert(),
  boxes: () => {
    viewer.toggleBoxes();
    for (const button of panel.querySelectorAll("button.change")) button.setAttribute("aria-pressed", "false");
  },
  exchange,
};
const move = (x, y) => () => viewer.moveTo(viewer.view.x + x / viewer.view.zoom, viewer.view.y + y / viewer.view.zoom);
const keys = {
  s: actions.side, f: actions.flicker, d: actions.difference, "+": actions.in, "=": actions.in, "-": actions.out,
  r: actions.reset, 0: actions.reset, i: actions.invert, b: actions.boxes, x: exchange, " ": () => viewer.step(),
  "[": () => showPair(current - 1), "]": () => showPair(current + 1), n: startAgain,
  ArrowLeft: move(-0.1, 0), ArrowRight: move(0.1, 0), ArrowUp: move(0, -0.1), ArrowDown: move(0, 0.1),
};
const always = { l: () => window.lapseTheme.toggle(), "?": () => get("keys").showModal() };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isField = event.target.matches("input, textarea, select");
  const isPressed = event.target.matches("button, a, summary") && [" ", "Enter"].includes(event.key);
  if (isField || isPressed) return;
  const number = /^[1-9]$/.test(event.key) ? panel.querySelectorAll("button.change")[event.key - 1] : null;
  const action = always[event.key] || (films.length ? (number ? () => number.click() : keys[event.key]) : null);
  if (!action || (event.key.startsWith("Arrow") && viewer.view.zoom === 1)) return;
  event.preventDefault();
  action();
});
for (const button of document.querySelectorAll("#work [data-do]")) {
  button.addEventListener("click", () => actions[button.dataset.do]());
}
for (const input of document.querySelectorAll('#intake input[type="file"]')) {
  input.addEventListener("change", () => {
    const files = Array.from(input.files), role = input.closest("[data-role]")?.dataset.role;
    input.value = "";
    take(files, role);
  });
}
get("new").addEventListener("click", startAgain);
get("help").addEventListener("click", () => get("keys").showModal());

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const role = event.target.closest?.("[data-role]")?.dataset.role || "";
  await take(await droppedFiles(event.dataTransfer), role);
});

function requestToken() {
  const dialog = get("token");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      setToken(get("token-value").value.trim());
      get("token-value").value = "";
      start().then(resolve);
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

function showOptions() {
  const texts = [
    ...(service.allow_unusual ? ["This service also answers films that an input check refuses, with a warning."] : []),
    ...(service.guarded ? [] : ["Answers are those of one beam search and not guarded."]),
  ];
  get("options").textContent = texts.join(" ");
  get("options").hidden = !texts.length;
}

async function start() {
  try {
    service = await (await call("GET", "/api/service")).json();
    get("trained").textContent = service.trained_on;
    showOptions();
  } catch (error) {
    if (error.code === "unauthorized") await requestToken();
    else say("The service does not answer.", true);
  }
}
start();
