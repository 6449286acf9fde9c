// The publishable key stands behind the # of the page's address, which no browser sends to a server.
"use strict";
const key = location.hash.slice(1);
const sent = document.getElementById("sent");
document.querySelector("script[data-key]").dataset.key = key;
document.getElementById("no-key").hidden = !!key;
for (const link of document.querySelectorAll("nav a")) link.hash = key;
document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  sent.textContent = sent.dataset.text.replace("%s", () => event.target.elements.address.value);
});
addEventListener("hashchange", () => location.reload());
