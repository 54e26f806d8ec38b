// Small dialogs: a question, a line of text, the key, the shortcuts. The browser's own <dialog> keeps the focus inside
// and gives it back.
import { find, h } from "./dom.js";
import { hasKey, setKey } from "./api.js";

function ask(title, body, buttons, focus) {
  const heading = h("h2", { id: "ask-title" }, title);
  const dialog = h("dialog", { class: "small", "aria-labelledby": "ask-title" }, heading, ...body);
  return new Promise((resolve) => {
    let answer = null;
    const close = (value) => {
      answer = value;
      dialog.close();
    };
    dialog.append(h("div", { class: "row" }, ...buttons(close).filter(Boolean)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    focus?.focus();
    focus?.select?.();
  });
}

export function confirmation(title, text, label) {
  return ask(title, [h("p", {}, text)], (close) => [
    h("button", { type: "button", class: "quiet", onclick: () => close(false) }, "Cancel"),
    h("button", { type: "button", class: "danger", onclick: () => close(true) }, label),
  ]);
}

export function lineOfText(title, label, value) {
  const field = h("input", { type: "text", "aria-label": label, maxlength: "200", autocomplete: "off" });
  field.value = value;
  return ask(
    title,
    [field],
    (close) => {
      const save = () => close(field.value.trim() || null);
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.isComposing) return;
        event.preventDefault();
        save();
      });
      return [
        h("button", { type: "button", class: "quiet", onclick: () => close(null) }, "Cancel"),
        h("button", { type: "button", class: "primary", onclick: save }, "Save"),
      ];
    },
    field,
  );
}

let keyAsked = null;
// Asks for the API key, once however many requests were refused. True: one was given.
export function askForKey(message) {
  if (keyAsked) return keyAsked;
  const field = h("input", { type: "password", id: "key-field", autocomplete: "off", spellcheck: "false" });
  const keep = h("input", { type: "checkbox", id: "key-keep" });
  const body = [
    h("p", {}, message),
    h("label", { for: "key-field", class: "label" }, "API key"),
    field,
    h("label", { class: "check" }, keep, " Remember it in this browser"),
  ];
  keyAsked = ask(
    "API key of this server",
    body,
    (close) => {
      const use = () => {
        if (!field.value.trim()) return field.focus();
        setKey(field.value.trim(), keep.checked);
        close(true);
      };
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        use();
      });
      const forget = () => {
        setKey("", false);
        close(true);
      };
      return [
        hasKey() ? h("button", { type: "button", class: "quiet danger-text", onclick: forget }, "Forget key") : null,
        h("button", { type: "button", class: "quiet", onclick: () => close(false) }, "Not now"),
        h("button", { type: "button", class: "primary", onclick: use }, "Use key"),
      ];
    },
    field,
  ).finally(() => (keyAsked = null));
  return keyAsked;
}

export function openDialog(id) {
  const dialog = find(id);
  if (!dialog.open) dialog.showModal();
}

// Closers of the dialogs that stand in the page, and a click beside one.
export function wireDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
    dialog.addEventListener("pointerdown", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }
}
