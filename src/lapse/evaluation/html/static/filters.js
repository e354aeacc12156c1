"use strict";
// Filters of an evaluation page: by finding and by kind of error. A case matches a finding when its
// answer or truth names it, a kind of error when it has it, and both when the error concerns that
// finding or the complete answer. Without a script all cases are shown and the list stays empty.
(function () {
  const ROWS_PER_CLICK = 50;
  const get = (id) => document.getElementById(id);
  const finding = get("finding"), kind = get("kind"), boxes = get("boxes");
  const list = get("rows"), more = get("more");
  const cases = Array.from(document.querySelectorAll("article.case"), (element) => ({
    element,
    findings: JSON.parse(element.dataset.findings),
    errors: JSON.parse(element.dataset.errors),
  }));
  const answers = JSON.parse(get("answers").textContent).map(
    ([question, truth, answer, errors, findings]) => ({ question, truth, answer, errors, findings }));
  let matching = [], numListed = 0;

  function matches({ findings, errors }) {
    const name = finding.value, error = kind.value;
    if (name && !findings.includes(name)) return false;
    if (!error) return true;
    if (error === "all right") return errors.length === 0;
    return errors.some(([key, names]) =>
      key === error && (!name || names.length === 0 || names.includes(name)));
  }
  function addCell(row, text, style) {
    const cell = row.insertCell();
    cell.textContent = text;
    cell.className = style || "";
  }
  function errorText({ errors }) {
    return errors.map(([key, names]) => [key, names.join(", ")].filter(Boolean).join(": ")).join("; ");
  }
  function listMore() {
    for (const item of matching.slice(numListed, numListed + ROWS_PER_CLICK)) {
      const row = list.insertRow();
      addCell(row, item.question);
      addCell(row, item.truth || "(empty)");
      addCell(row, item.answer || "(empty)");
      addCell(row, errorText(item) || "all right", item.errors.length ? "wrong" : "right");
    }
    numListed = list.rows.length;
    more.hidden = numListed >= matching.length;
  }
  function apply() {
    for (const item of cases) item.element.hidden = !matches(item);
    const numShown = cases.filter((item) => !item.element.hidden).length;
    matching = answers.filter(matches);
    list.replaceChildren();
    numListed = 0;
    listMore();
    get("count").textContent = `${numShown} of ${cases.length} cases, ` +
      `${matching.length} of ${answers.length} answers`;
  }
  finding.addEventListener("change", apply);
  kind.addEventListener("change", apply);
  boxes.addEventListener("change", () => document.body.classList.toggle("without-boxes", !boxes.checked));
  get("save").addEventListener("click", () => saveCsv("answers", [
    ["question", "truth", "answer", "errors"],
    ...matching.map((item) => [item.question, item.truth, item.answer, errorText(item) || "all right"]),
  ]));
  get("clear").addEventListener("click", () => { finding.value = kind.value = ""; apply(); });
  more.addEventListener("click", listMore);
  apply();
})();
