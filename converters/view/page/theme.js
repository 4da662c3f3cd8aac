// Sets the theme before the first paint; a plain script, since modules run after it.
"use strict";
{
  const KEY = "skelstore-theme";
  const wanted = (() => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  })();
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  let chosen = wanted === "dark" || wanted === "light" ? wanted : null;

  function apply() {
    root.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
    dispatchEvent(new Event("theme"));
  }

  addEventListener("theme-toggle", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // Without storage the choice lasts until the page is closed.
    }
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}
