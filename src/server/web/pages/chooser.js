// The models of the server, the one that is chosen, and what is told of it.
import { models, props } from "./api.js";
import { find } from "./dom.js";
import { readSetting, writeSetting } from "./store.js";

const STATES = { loading: " (loading)", unloaded: " (not loaded)" };

// `changed`: something to draw; `trouble(error)`: the server could not be asked; `found`: it could.
export function modelChooser({ changed, trouble, found }) {
  const select = find("model");
  const told = new Map(); // of /props, by model
  let served = []; // { id, state, room }
  const chosen = () => served.find((one) => one.id === select.value);
  const absent = (model) => model?.state === "unloaded" || model?.state === "loading";

  function draw() {
    const wanted = readSetting("model", "");
    select.replaceChildren(...served.map((model) => new Option(model.id + (STATES[model.state] ?? ""), model.id)));
    if (served.some((model) => model.id === wanted)) select.value = wanted;
    select.disabled = served.length < 2;
    if (served.length === 0) select.replaceChildren(new Option("no model", ""));
  }

  async function lookForProps() {
    const model = chosen();
    // Asking about a model that is not there might load it.
    if (!model || told.has(model.id) || absent(model)) return;
    try {
      told.set(model.id, await props(served.length > 1 ? model.id : ""));
    } catch {
      return; // the page lives without
    }
    changed();
  }

  async function look() {
    try {
      served = await models();
    } catch (error) {
      trouble(error);
      return;
    }
    if (served.some((model) => model.state === "loading")) setTimeout(look, 3000);
    found();
    draw();
    changed();
    await lookForProps();
  }

  select.addEventListener("change", () => {
    writeSetting("model", select.value);
    changed();
    lookForProps();
  });
  return {
    look,
    // Looks again if something may have been loaded meanwhile.
    refresh: () => served.some(absent) && look(),
    id: () => select.value,
    loads: () => absent(chosen()),
    room: () => told.get(select.value)?.default_generation_settings?.n_ctx || chosen()?.room || 0,
    defaults: () => told.get(select.value)?.default_generation_settings?.params,
    build: () => told.get(select.value)?.build_info,
  };
}
