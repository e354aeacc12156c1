// The answer of the service as elements. All values are set as text.
const MAX_COLORS = 8;
const AGREEMENT = "Agreement is that of the model with itself; it is not calibrated, and not a probability that a change is real.";
const ROLE_NAMES = { reference: "prior film", main: "current film" };

export function make(name, text = "", style = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (style) made.className = style;
  return made;
}

// Findings of an answer -> the number of their color.
export function colorsOf(answer) {
  const names = [...answer.changes, ...answer.unsure].map((change) => change.finding);
  return new Map([...new Set(names)].map((name, index) => [name, index % MAX_COLORS]));
}

export function renderAnswer(panel, answer, { onSelect, onSave }) {
  const colors = colorsOf(answer);
  panel.replaceChildren(
    ...checkLines(answer.input_checks, "warning"),
    ...sentences(answer.answer).map((text) => make("p", text, `sentence ${answer.status}`)),
    ...section("Changes", answer.changes, (list) => list.append(...answer.changes.map((change, index) =>
      changeLine(change, colors, { answer, onSelect, number: index + 1 })))),
    ...(answer.changes.length ? [] : [make("p", "No change is stated.", "quiet")]),
    ...section("Unsure, not stated", answer.unsure, (list) => list.append(...answer.unsure.map((change) =>
      changeLine(change, colors, { answer, onSelect: null, number: 0 })))),
    ...answer.reasons.map((reason) => make("p", `Reason: ${reason}.`)),
    ...answer.not_understood.map((part) => make("p", `Not understood: ${part}`, "notice bad")),
    ...(answer.calibration ? [make("p", answer.calibration, "quiet")] : []),
    ...(hasAgreement(answer) ? [make("p", AGREEMENT, "quiet")] : []),
    make("p", "A region is the part of the film to which the model assigns a finding, not an outline. “Missing” means not seen in the current film, not proven resolved.", "quiet"),
    make("div", "", "reports"),
    ...checkLines(answer.input_checks, "note"),
    ...(answer.input_checks.length ? [] : [make("p", "Input checks: no issue. A film that passes is not thereby one that the model understands.", "quiet")]),
    facts(answer),
    saveButton(onSave),
  );
}

const hasAgreement = (answer) => [...answer.changes, ...answer.unsure].some((change) =>
  String(change.confidence || "").includes("agreement"));

// "reference" and "main" are the words of the data; people say prior and current.
export const words = (text) => text.replaceAll("reference image", "prior film").replaceAll("main image", "current film");

const sentences = (text) => (text ? words(text).split(/(?<=\.) /) : ["(empty)"]);

function section(title, items, fill) {
  if (!items.length) return [];
  const list = make("ul", "", "changes");
  fill(list);
  return [make("h2", title), list];
}

function changeLine(change, colors, { answer, onSelect, number }) {
  const line = make("li"), button = make(onSelect ? "button" : "div", "", "change");
  const mark = make("span", { added: "+", missing: "−" }[change.kind] || "±", `mark color-${colors.get(change.finding)}`);
  const text = make("span", "", "what");
  const kind = { added: "new in the current film", missing: "not seen in the current film" }[change.kind] ||
    `${change.before} → ${change.after}`;
  text.append(make("b", change.finding), make("span", kind));
  if (change.confidence) text.append(make("span", change.confidence, "confidence"));
  const regions = answer.regions.filter((item) => item.finding === change.finding);
  if (onSelect) {
    for (const item of regions) {
      text.append(make("span", `${ROLE_NAMES[item.image]}: ${item.anatomy || item.region || "no region"}`, "quiet"));
    }
    button.type = "button";
    button.dataset.finding = change.finding;
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-keyshortcuts", number);
    button.addEventListener("click", () => onSelect(change.finding));
  }
  button.append(mark, text);
  line.append(button);
  return line;
}

export function checkLines(checks, level) {
  const chosen = checks.filter((item) => (level === "note") === (item.level === "note"));
  return chosen.map((item) => make("p", `${item.level === "note" ? "Note" : "Warning"}: ${words(item.message)}.`,
    item.level === "note" ? "quiet" : "notice bad check"));
}

export function renderRefusal(panel, error, onAnswer) {
  const checks = error.values?.input_checks || [];
  const button = make("button", "Answer nevertheless");
  button.type = "button";
  button.addEventListener("click", onAnswer);
  panel.replaceChildren(
    make("p", error.message, "sentence undecided"),
    ...checks.map((item) => make("p", `${words(item.message)}.`, item.level === "note" ? "quiet" : "notice bad check")),
    ...(error.code === "refused-input" ? [make("p", "An answer about films that a check refuses has no meaning for a patient.", "quiet"), button] : []),
  );
}

// reports: [{title, text}]; text is null while it is on its way
export function renderReports(panel, reports) {
  const target = panel.querySelector(".reports");
  if (!target) return;
  target.replaceChildren(make("h2", "Reports by the model"), ...reports.map(({ title, text }) => {
    const block = make("p", "", "report");
    block.append(make("b", title), make("span", text === null ? "…" : text));
    return block;
  }));
}

function facts(answer) {
  const details = make("details"), table = make("dl");
  details.append(make("summary", "Model"), table);
  const values = { "trained on": answer.trained_on, ...answer.model, lapse: answer.lapse,
    "answer of beam search alone": answer.beam_answer, "research use": answer.research_use };
  for (const [name, value] of Object.entries(values)) table.append(make("dt", name), make("dd", String(value)));
  return details;
}

function saveButton(onSave) {
  const button = make("button", "Save as JSON", "save");
  button.type = "button";
  button.addEventListener("click", onSave);
  return button;
}
