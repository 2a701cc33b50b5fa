// Choose light or dark before the first paint. Classic, not a module: modules run too late for that.
"use strict";

(() => {
  const ORDER = ["auto", "light", "dark"];
  const SIGNS = { auto: "◐", light: "☀", dark: "☾" };
  const root = document.documentElement;

  const stored = () => {
    try {
      const value = localStorage.getItem("theme");
      return ORDER.includes(value) ? value : "auto";
    } catch {
      return "auto";
    }
  };

  const show = (theme) => {
    root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (!button) return;
    button.textContent = SIGNS[theme];
    button.title = `Colours: ${theme}`;
    button.setAttribute("aria-label", `Colours: ${theme}`);
  };

  show(stored());
  document.addEventListener("DOMContentLoaded", () => {
    show(stored());
    document.getElementById("theme").addEventListener("click", () => {
      const next = ORDER[(ORDER.indexOf(root.dataset.theme) + 1) % ORDER.length];
      try {
        localStorage.setItem("theme", next);
      } catch {
        // A browser that keeps nothing still gets the colours for now.
      }
      show(next);
    });
  });
})();
