"use strict";
// A button at every table of scores that saves it as a CSV file. `saveCsv` is used by filters.js too.
function saveCsv(name, rows) {
  // A spreadsheet would compute a cell that begins with one of these signs.
  const cell = (text) => `"${(/^[=@\t]/.test(text) ? "'" + text : text).replaceAll('"', '""')}"`;
  const text = rows.map((row) => row.map((value) => cell(String(value))).join(",")).join("\r\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff" + text + "\r\n"], { type: "text/csv" }));
  link.download = `${name.replace(/[^\w-]+/g, "-").replace(/^-|-$/g, "").toLowerCase() || "table"}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 0);
}
(function () {
  for (const table of document.querySelectorAll("table.scores")) {
    const button = document.createElement("button");
    const name = table.caption ? table.caption.textContent : "table";
    button.type = "button";
    button.className = "save";
    button.textContent = "CSV";
    button.setAttribute("aria-label", `Save the table "${name}" as CSV`);
    button.addEventListener("click", () => saveCsv(name,
      Array.from(table.rows, (row) => Array.from(row.cells, (item) => item.textContent.trim()))));
    table.closest(".scroll").after(button);
  }
  // A printed page shows what is folded on the screen.
  window.addEventListener("beforeprint", () => {
    for (const item of document.querySelectorAll("details")) item.open = true;
  });
})();
