// What a person can set: kept in the browser, and turned into fields of a request.
import { find, h } from "./dom.js";
import { readSetting, writeSetting } from "./store.js";

// name, label, lowest, highest, step, what it does
export const SAMPLING = [
  ["temperature", "Temperature", 0, 5, 0.05, "Higher: more surprising. 0: always the likeliest token."],
  ["top_k", "Top-k", 0, 100000, 1, "Choose among the k likeliest tokens. 0: all."],
  ["top_p", "Top-p", 0, 1, 0.01, "Choose among tokens that together have this probability."],
  ["min_p", "Min-p", 0, 1, 0.01, "Leave out tokens less likely than this share of the likeliest."],
  ["repeat_penalty", "Repeat penalty", 0, 5, 0.05, "Above 1: what was said becomes less likely."],
  ["presence_penalty", "Presence penalty", -2, 2, 0.1, "Less of what has occurred."],
  ["frequency_penalty", "Frequency penalty", -2, 2, 0.1, "Less of what has occurred often."],
  ["max_tokens", "Longest answer", 1, 10000000, 1, "In tokens. Empty: as long as there is room."],
  ["seed", "Seed", 0, 4294967295, 1, "The same seed gives the same answer. Empty: another each time."],
];

// A list of tools in OpenAI's form, or functions alone. Throws an Error that says what is wrong.
export function parseTools(text) {
  if (!text.trim()) return [];
  const given = parseJson(text);
  const list = Array.isArray(given) ? given : [given];
  return list.map((tool) => {
    const described = tool?.function ?? tool;
    if (typeof described?.name !== "string" || !described.name) throw new Error("Each tool needs a “name”.");
    return { type: "function", function: described };
  });
}

export function parseExtra(text) {
  if (!text.trim()) return {};
  const given = parseJson(text);
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw new Error("This must be a JSON object: { … }.");
  return given;
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
}

// The number that a field holds; null where it is empty or not a number within the bounds.
export function parseNumber(text, [, , low, high, step]) {
  if (!text.trim()) return null;
  const value = Number(text);
  if (!Number.isFinite(value) || value < low || value > high || (step === 1 && !Number.isInteger(value))) return null;
  return value;
}

// Fields of a request, from settings as they are kept.
export function requestFields(settings) {
  const fields = {};
  for (const row of SAMPLING) {
    const value = parseNumber(String(settings.sampling?.[row[0]] ?? ""), row);
    if (value !== null) fields[row[0]] = value;
  }
  if (settings.thinking === "on" || settings.thinking === "off") fields.chat_template_kwargs = { enable_thinking: settings.thinking === "on" };
  try {
    const tools = parseTools(settings.tools ?? "");
    if (tools.length > 0) fields.tools = tools;
  } catch {
    // The dialog says what is wrong with it.
  }
  try {
    Object.assign(fields, parseExtra(settings.extra ?? ""));
  } catch {
    // Likewise.
  }
  return fields;
}

// Validates a field on each change, and says below it what is wrong.
function validated(field, check, save) {
  const wrong = h("p", { class: "wrong", id: `${field.id}-wrong`, hidden: true });
  field.after(wrong);
  const look = () => {
    let message = "";
    try {
      check(field.value);
    } catch (error) {
      message = error.message;
    }
    wrong.textContent = message;
    wrong.hidden = !message;
    field.setAttribute("aria-invalid", String(message !== ""));
    if (message) field.setAttribute("aria-describedby", wrong.id);
    else field.removeAttribute("aria-describedby");
  };
  field.addEventListener("input", () => {
    look();
    save(field.value);
  });
  look();
}

export function setTheme(theme) {
  try {
    localStorage.setItem("xenon.theme", theme);
  } catch {
    // Then it holds until the page is left.
  }
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

// actions: system(text), defaults() -> params of /props, key(), exportAll(), importFile(file), removeAll()
export function settingsDialog(actions) {
  const settings = { system: "", sampling: {}, thinking: "model", tools: "", extra: "", ...readSetting("settings", {}) };
  const save = () => writeSetting("settings", settings);
  const dialog = find("settings");
  const system = find("system");

  system.addEventListener("input", () => {
    settings.system = system.value;
    actions.system(system.value);
    save();
  });
  const grid = find("sampling");
  const inputs = SAMPLING.map((row) => {
    const [name, label, low, high, step, help] = row;
    const id = `sampling-${name}`;
    const input = h("input", { id, type: "number", min: low, max: high, step, inputmode: step === 1 ? "numeric" : "decimal", "aria-describedby": `${id}-help` });
    input.value = settings.sampling[name] ?? "";
    input.addEventListener("input", () => {
      settings.sampling[name] = input.value;
      input.setAttribute("aria-invalid", String(input.value !== "" && parseNumber(input.value, row) === null));
      save();
    });
    grid.append(h("div", { class: "field" }, h("label", { for: id }, label), input, h("p", { class: "help", id: `${id}-help` }, help)));
    return { name, input };
  });
  const showDefaults = () => {
    const params = actions.defaults();
    for (const { name, input } of inputs) {
      const value = params?.[name];
      const shown = typeof value === "number" ? String(Math.round(value * 1e4) / 1e4) : "";
      input.placeholder = name === "seed" || name === "max_tokens" || !shown ? "default" : shown;
    }
  };
  find("reset-sampling").addEventListener("click", () => {
    settings.sampling = {};
    for (const { input } of inputs) {
      input.value = "";
      input.setAttribute("aria-invalid", "false");
    }
    save();
  });

  const thinking = find("thinking");
  thinking.value = settings.thinking;
  thinking.addEventListener("change", () => {
    settings.thinking = thinking.value;
    save();
  });
  for (const [name, check] of [["tools", parseTools], ["extra", parseExtra]]) {
    const field = find(name);
    field.value = settings[name];
    validated(field, check, (text) => {
      settings[name] = text;
      save();
    });
  }
  for (const radio of dialog.querySelectorAll("[name=theme]")) {
    radio.checked = radio.value === theme();
    radio.addEventListener("change", () => setTheme(radio.value));
  }
  find("set-key").addEventListener("click", actions.key);
  find("export-all").addEventListener("click", actions.exportAll);
  find("remove-all").addEventListener("click", actions.removeAll);
  const file = find("import-file");
  find("import").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files.length > 0) actions.importFile(file.files[0]);
    file.value = "";
  });

  return {
    settings,
    open(systemPrompt) {
      system.value = systemPrompt;
      showDefaults();
      if (!dialog.open) dialog.showModal();
    },
    themeChanged() {
      for (const radio of dialog.querySelectorAll("[name=theme]")) radio.checked = radio.value === theme();
    },
  };
}
