// Runs before the page is drawn, so that a chosen theme does not flash in late. Not a module for that reason.
(() => {
  let chosen = "system";
  try {
    chosen = localStorage.getItem("xenon.theme") || "system";
  } catch {
    // Storage may be forbidden: the system's choice then holds.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
