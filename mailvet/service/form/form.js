// mailvet: checks an address while a visitor signs up. Apache-2.0; docs/service.md tells how to use it.
(() => {
  "use strict";
  // The suggestion is %s.
  const TEXTS = {
    en: ["Did you mean %s?", "Yes, change it", "No, keep mine",
      "This address cannot be used. Please check it or enter another one."],
    de: ["Meinten Sie %s?", "Ja, ändern", "Nein, meine behalten",
      "Diese Adresse kann nicht verwendet werden. Bitte prüfen Sie sie oder geben Sie eine andere ein."],
    fr: ["Vouliez-vous dire %s ?", "Oui, corriger", "Non, garder la mienne",
      "Cette adresse ne peut pas être utilisée. Veuillez la vérifier ou en saisir une autre."],
    es: ["¿Quiso decir %s?", "Sí, cambiar", "No, mantener la mía",
      "No se puede usar esta dirección. Revísela o introduzca otra."],
    "zh-Hant": ["您是指 %s 嗎？", "是，更改", "否，保留原來的", "無法使用此電子郵件地址。請檢查，或輸入其他地址。"],
  };
  const script = document.currentScript;
  const states = new WeakMap();
  const waiting = new WeakSet();
  let passing;
  let silentUntil = 0;

  const isOurs = (element) => element.matches?.("input[data-mailvet]");

  // A region has to stand in the page before its text does, else a screen reader says nothing.
  function stateOf(field) {
    if (!states.has(field)) {
      const box = document.createElement("div");
      const [status, ...buttons] = ["p", "button", "button"].map((tag) => document.createElement(tag));
      box.className = "mailvet";
      box.append(status, ...buttons);
      status.setAttribute("role", "status");
      status.setAttribute("aria-live", "polite");
      status.id = "mailvet-" + Math.random().toString(36).slice(2);
      field.after(box);
      const before = field.getAttribute("aria-describedby") || "";
      field.setAttribute("aria-describedby", (before + " " + status.id).trim());
      const state = { box, status, buttons, asked: new Map() };
      states.set(field, state);
      buttons.forEach((button, index) => {
        button.type = "button";
        button.addEventListener("click", () => settle(field, index ? field.value : state.suggestion));
      });
      show(field);
    }
    return states.get(field);
  }

  function show(field, number, suggestion) {
    const state = stateOf(field);
    const wanted = (field.closest("[lang]")?.lang || navigator.language).slice(0, 2).toLowerCase();
    const language = Object.keys(TEXTS).find((name) => name.startsWith(wanted)) || "en";
    const texts = TEXTS[language];
    const text = texts[number]?.replace("%s", () => suggestion) || "";
    state.box.lang = language;
    state.status.textContent = text;
    state.suggestion = suggestion;
    state.buttons.forEach((button, index) => {
      button.hidden = !suggestion;
      button.textContent = texts[index + 1];
    });
    if (number === 3 || state.refused) {
      state.refused = text;
      field.setCustomValidity(text);
      field.setAttribute("aria-invalid", !!text);
    }
  }

  function forget(field) {
    stateOf(field).shown = null;
    show(field);
  }

  // The visitor has decided: the address is taken as it is.
  function settle(field, value) {
    const state = stateOf(field);
    if (field.value !== value) {
      // Past the setters that frameworks put in front of it.
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, value);
      for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
    }
    state.asked.set((state.shown = value), { result: "accept" });
    show(field);
    field.focus();
  }

  async function ask(address) {
    const { key, timeout } = script.dataset;
    if (!key || Date.now() < silentUntil) return {};
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeout || 1000);
    try {
      const response = await fetch(new URL("v1/form", script.dataset.service || script.src), {
        method: "POST",
        headers: { Authorization: "Bearer " + key, "Content-Type": "application/json" },
        body: JSON.stringify({ address }),
        credentials: "omit",
        signal: stop.signal,
      });
      if (response.ok) return Object(await response.json());
      throw Error(response.status);
    } catch (error) {
      // A service that is out of order makes a visitor wait once.
      silentUntil = Date.now() + 30000;
      console.warn("mailvet: no checks for 30 s:", error.message);
      return {};
    } finally {
      clearTimeout(timer);
    }
  }

  async function check(field) {
    const { value } = field;
    const state = stateOf(field);
    if (!value.trim() || value.length > 254 || state.shown === value) return;
    if (!state.asked.has(value)) state.asked.set(value, ask(value));
    const { result, suggestion } = await state.asked.get(value);
    if (!result) state.asked.delete(value);
    if (field.value !== value || state.shown === value) return;
    state.shown = value;
    if (result === "suggest") show(field, 0, suggestion);
    if (result === "reject") show(field, 3);
    field.dispatchEvent(new CustomEvent("mailvet", { bubbles: true, detail: { result: result || "unknown", suggestion } }));
  }

  const listen = (type, act) => document.addEventListener(type, act, true);
  listen("focusin", ({ target }) => isOurs(target) && stateOf(target));
  listen("focusout", ({ target }) => isOurs(target) && check(target));
  listen("input", ({ target }) => isOurs(target) && forget(target));
  listen("reset", ({ target }) => [...target.elements].filter(isOurs).forEach(forget));

  // What was not checked yet is checked first, which takes as long as the time limit at most.
  listen("submit", async (event) => {
    const { target: form, submitter } = event;
    const open = [...form.elements].filter((field) => isOurs(field) && stateOf(field).shown !== field.value);
    if (form === passing || !open.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (waiting.has(form)) return;
    waiting.add(form);
    await Promise.all(open.map(check));
    // While the event is on its way, the browser ignores another attempt.
    await new Promise((resolve) => setTimeout(resolve));
    waiting.delete(form);
    const doubtful = open.find((field) => stateOf(field).suggestion);
    if (doubtful) return doubtful.focus();
    passing = form;
    form.requestSubmit(submitter);
    passing = null;
  });
})();
