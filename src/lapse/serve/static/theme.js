"use strict";
// Dark unless the user chose light. Loaded before the page is painted.
(function () {
  const KEY = "lapse-theme", root = document.documentElement;
  const read = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const isLight = () => root.dataset.theme === "light";
  function apply(theme) {
    root.dataset.theme = theme === "light" ? "light" : "dark";
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.textContent = isLight() ? "Dark" : "Light";
      button.setAttribute("aria-label", `Change to ${isLight() ? "dark" : "light"} colors`);
    }
  }
  function toggle() {
    apply(isLight() ? "dark" : "light");
    try { localStorage.setItem(KEY, root.dataset.theme); } catch { /* kept for this page only */ }
  }
  apply(read());
  window.lapseTheme = { toggle };
  document.addEventListener("DOMContentLoaded", () => {
    apply(root.dataset.theme);
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.addEventListener("click", toggle);
    }
  });
})();
