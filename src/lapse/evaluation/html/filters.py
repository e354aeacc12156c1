"""The part of a page that listens: filters by finding and kind of error, and the list of answers.

A case fits a finding when its answer or truth names it, a kind of error when it has it, and both
when the error is about that finding (or about the whole answer). Without a script the cases are
all there; the list of answers needs one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from lapse.core.grammar import FINDINGS
from lapse.core.types import Prediction
from lapse.evaluation.html.case_selection import findings_of
from lapse.evaluation.html.elements import escape
from lapse.metrics.error_types import KINDS, error_kinds

RIGHT = "all right"
PER_VIEW = 50  # answers of the list that are drawn at once


def filter_bar(predictions: Sequence[Prediction]) -> str:
    """Two menus, with how many answers each choice has."""
    errors = [error_kinds(item) for item in predictions]
    named = [findings_of(item) for item in predictions]
    findings = [(name, sum(name in names for names in named)) for name in FINDINGS]
    kinds = [(RIGHT, sum(not found for found in errors))]
    kinds += [(kind, sum(kind in found for found in errors)) for kind in KINDS]
    return (
        '<div class="filters" role="search">'
        f"{_menu('finding', 'Finding', [(name, count) for name, count in findings if count])}"
        f"{_menu('kind', 'Kind of answer', [(name, count) for name, count in kinds if count])}"
        '<label><input type="checkbox" id="boxes" checked> boxes</label>'
        '<button type="button" id="clear">show all</button>'
        '<output id="count"></output></div>'
    )


def _menu(name: str, title: str, choices: Sequence[tuple[str, int]]) -> str:
    options = "".join(
        f'<option value="{escape(value)}">{escape(value)} ({count})</option>'
        for value, count in choices
    )
    menu = f'<select id="{name}"><option value="">all</option>{options}</select>'
    return f"<label>{title} {menu}</label>"


def answer_list(predictions: Sequence[Prediction], most: int) -> str:
    """Every answer as a row of a list that the filters narrow; at most `most` of them."""
    rows = [
        [
            item.prompt,
            item.references[0].strip(),
            item.prediction.strip(),
            [[kind, list(names)] for kind, names in error_kinds(item).items()],
            list(findings_of(item)),
        ]
        for item in predictions[:most]
    ]
    # "</script" and "<!--" would end or hide the data; JSON may write "<" otherwise.
    data = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    left_out = len(predictions) - len(rows)
    told = f" The first {len(rows)} of {len(predictions)} answers." if left_out else ""
    return (
        f'<p class="note">The filters above narrow this list too.{told}</p>'
        '<div class="scroll"><table class="answers"><thead><tr><th>Question</th><th>Reference</th>'
        '<th>Answer</th><th>What is wrong</th></tr></thead><tbody id="rows"></tbody></table></div>'
        '<button type="button" id="more">show more</button>'
        f'<script type="application/json" id="answers">{data}</script>'
    )


def script() -> str:
    """What the page runs: nothing from outside, no storage, no address but its own."""
    names = json.dumps({"hallucinated": "made up", "omitted": "left out"})
    return f"<script>{SCRIPT.replace('WORDS', names).replace('PER_VIEW', str(PER_VIEW))}</script>"


SCRIPT = """
"use strict";
(function () {
  const words = WORDS, perView = PER_VIEW;
  const get = (id) => document.getElementById(id);
  const finding = get("finding"), kind = get("kind"), boxes = get("boxes");
  const cases = Array.from(document.querySelectorAll("article.case"));
  const holder = get("answers"), body = get("rows"), more = get("more");
  const answers = holder ? JSON.parse(holder.textContent) : [];
  let drawn = 0, fitting = [];

  function fits(named, errors) {
    const f = finding.value, k = kind.value;
    if (f && !named.includes(f)) return false;
    if (!k) return true;
    if (k === "all right") return errors.length === 0;
    return errors.some(([name, about]) =>
      name === k && (!f || about.length === 0 || about.includes(f)));
  }
  function errorsOf(element) {
    return element.dataset.errors.split(";").filter(Boolean).map((mark) => {
      const cut = mark.indexOf(":"), about = mark.slice(cut + 1);
      return [mark.slice(0, cut), about ? [about] : []];
    });
  }
  function cell(row, text, style) {
    const made = row.insertCell();
    made.textContent = text;
    if (style) made.className = style;
  }
  function draw() {
    for (const [prompt, truth, answer, errors] of fitting.slice(drawn, drawn + perView)) {
      const row = body.insertRow();
      cell(row, prompt); cell(row, truth); cell(row, answer || "(empty)");
      const told = errors.map(([name, about]) =>
        (words[name] || name) + (about.length ? ": " + about.join(", ") : "")).join("; ");
      cell(row, told || "all right", told ? "wrong" : "right");
    }
    drawn = Math.min(fitting.length, drawn + perView);
    if (more) more.hidden = drawn >= fitting.length;
  }
  function apply() {
    let shown = 0;
    for (const one of cases) {
      const named = one.dataset.findings.split(";").filter(Boolean);
      one.hidden = !fits(named, errorsOf(one));
      shown += one.hidden ? 0 : 1;
    }
    fitting = answers.filter((row) => fits(row[4], row[3]));
    if (body) { body.replaceChildren(); drawn = 0; draw(); }
    get("count").textContent = shown + " of " + cases.length + " cases, " +
      fitting.length + " of " + answers.length + " answers";
  }
  for (const one of [finding, kind]) one.addEventListener("change", apply);
  boxes.addEventListener("change", () =>
    document.body.classList.toggle("without-boxes", !boxes.checked));
  get("clear").addEventListener("click", () => { finding.value = kind.value = ""; apply(); });
  if (more) more.addEventListener("click", draw);
  apply();
})();
"""
