// The dashboard: asks /metrics and /slots each second while it is seen.
import { getJson, hasKey, models, request } from "./api.js";
import { chart } from "./chart.js";
import { askForKey } from "./dialogs.js";
import { drawIcons, find, h } from "./dom.js";
import { count, plural, speed } from "./format.js";
import { history, metric, parseMetrics, rateOf } from "./metrics.js";

const EVERY = 1000; // ms
const MINUTE = 60; // values
const MINUTES = 5; // shown at the most

const generated = history(MINUTE, MINUTES * MINUTE);
const prompts = history(MINUTE, MINUTES * MINUTE);
const generatedRate = rateOf();
const promptRate = rateOf();

const drawChart = chart(find("chart"), [
  { name: "generated", values: generated.values, className: "generated" },
  { name: "prompts", values: prompts.values, className: "prompts" },
]);

function number(id, value, format = count) {
  find(id).textContent = value === null || value === undefined ? "–" : format(value);
}

function drawCache(sums) {
  const pages = metric(sums, "xenon:cache_pages");
  const used = metric(sums, "xenon:cache_pages_used");
  const held = metric(sums, "xenon:cache_pages_cached") ?? 0;
  const share = metric(sums, "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "llamacpp:kv_cache_usage_ratio");
  find("cache").hidden = pages === null && share === null;
  if (find("cache").hidden) return;
  // Pages that are held for prefixes alone count as used, though they are given up when others need them.
  const busy = pages ? Math.max(0, used - held) / pages : share;
  const kept = pages ? held / pages : 0;
  find("bar-busy").setAttribute("width", String(100 * busy));
  find("bar-held").setAttribute("x", String(100 * busy));
  find("bar-held").setAttribute("width", String(100 * kept));
  const percent = (value) => `${Math.round(100 * value)}%`;
  find("cache-text").textContent = pages
    ? `${count(used - held)} in use, ${count(held)} kept for prefixes, ${count(pages - used)} free of ${plural(pages, "page")}`
    : `${percent(share)} in use`;
}

function drawSlots(slots, several) {
  document.querySelector("th.model").hidden = !several;
  const rows = slots.map((slot) => {
    const busy = slot.is_processing === true;
    const prompt = slot.n_prompt_tokens ?? 0;
    const done = slot.n_prompt_tokens_processed ?? prompt;
    const decoded = (Array.isArray(slot.next_token) ? slot.next_token[0] : slot.next_token)?.n_decoded ?? 0;
    const held = slot.n_past ?? prompt + decoded;
    const doing = !busy ? "free" : done < prompt ? `reading the prompt, ${count(done)} of ${count(prompt)}` : `answering, ${plural(decoded, "token")}`;
    return h(
      "tr",
      { class: busy ? "busy" : "" },
      several ? h("td", {}, slot.model) : null,
      h("td", {}, String(slot.id ?? "")),
      h("td", {}, h("span", { class: "state", "aria-hidden": "true" }), doing),
      h("td", { class: "figure" }, busy || held ? count(held) : "–"),
      h("td", { class: "figure" }, slot.n_ctx ? count(slot.n_ctx) : "–"),
    );
  });
  find("slots").replaceChildren(...rows);
  find("slots-empty").hidden = rows.length > 0;
}

async function slotsOf(list) {
  const loaded = list.filter((model) => model.state === "" || model.state === "loaded");
  const one = list.length === 1;
  const asked = loaded.map(async ({ id }) => {
    const slots = await getJson(one ? "/slots" : `/slots?model=${encodeURIComponent(id)}`);
    return Array.isArray(slots) ? slots.map((slot) => ({ ...slot, model: id })) : [];
  });
  const answers = await Promise.allSettled(asked);
  return answers.flatMap(({ value }) => value ?? []);
}

function draw(sums, slots, seconds) {
  const busy = slots.filter((slot) => slot.is_processing).length;
  number("running", metric(sums, "llamacpp:requests_processing", "vllm:num_requests_running") ?? busy);
  number("waiting", metric(sums, "llamacpp:requests_deferred", "vllm:num_requests_waiting"));
  number("slots-busy", slots.length > 0 ? `${busy} of ${slots.length}` : null, String);
  generated.add(generatedRate(metric(sums, "llamacpp:tokens_predicted_total", "vllm:generation_tokens_total"), seconds));
  prompts.add(promptRate(metric(sums, "llamacpp:prompt_tokens_total", "vllm:prompt_tokens_total"), seconds));
  number("generated-now", generated.mean(3), speed);
  number("prompts-now", prompts.mean(3), speed);
  number("generated-all", metric(sums, "llamacpp:tokens_predicted_total", "vllm:generation_tokens_total"));
  number("prompts-all", metric(sums, "llamacpp:prompt_tokens_total", "vllm:prompt_tokens_total"));
  number("cached-all", metric(sums, "xenon:cached_tokens_total"));
  drawCache(sums);
  drawSlots(slots, list.length > 1);
  drawLines();
}

function drawLines() {
  drawChart();
  find("since").textContent = `${plural(generated.values.length / MINUTE, "minute")} ago`;
}

function trouble(error) {
  const element = find("notice");
  const said = { offline: "The server can’t be reached. Looking for it again…", loading: "The server is loading its model…", key: "The server wants an API key." };
  element.textContent = said[error?.kind] ?? error?.message ?? "";
  element.hidden = !element.textContent;
  document.body.classList.toggle("offline", error !== null);
}

let list = null;
let looked = 0;
async function look() {
  if (document.hidden) return;
  try {
    // Models come and go: looked for every ten seconds.
    if (!list || performance.now() - looked > 10000) {
      list = await models();
      looked = performance.now();
    }
    const response = await request("/metrics");
    const sums = parseMetrics(await response.text());
    draw(sums, await slotsOf(list), performance.now() / 1000);
    trouble(null);
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    list = null;
    generated.add(generatedRate(null, 0));
    prompts.add(promptRate(null, 0));
    drawLines();
    trouble(error);
    if (error.kind === "key") await askForKey(hasKey() ? "The key was not accepted." : "Ask whoever runs the server for one.");
  }
}

async function forever() {
  for (;;) {
    const began = performance.now();
    await look();
    await new Promise((resolve) => setTimeout(resolve, Math.max(200, EVERY - (performance.now() - began))));
  }
}

drawIcons();
forever();
