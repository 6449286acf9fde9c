// Airflow keeps its theme under "theme" of the same origin; without it the system's choice holds (see style.css).
(function () {
  var root = document.documentElement;
  function follow() {
    var theme = null;
    try { theme = localStorage.getItem("theme"); } catch (refused) { /* storage is switched off */ }
    if (theme === "dark" || theme === "light") root.setAttribute("data-theme", theme);
    else root.removeAttribute("data-theme");
  }
  follow();
  addEventListener("storage", follow);
  // Inside Airflow a link to Airflow would open it once more within itself.
  if (window.self !== window.top) root.classList.add("framed");
  // The answer takes a while: say so, and send the form once.
  document.addEventListener("submit", function (event) {
    var button = event.target.querySelector("button");
    if (button) { button.disabled = true; button.textContent = "Checking…"; }
  });
  addEventListener("pageshow", function (event) { if (event.persisted) location.reload(); });
})();
