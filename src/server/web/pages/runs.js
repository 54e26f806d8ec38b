// Answers being made: one a conversation at a time, going on also while another conversation is shown.
import { chat } from "./api.js";
import { gatherer } from "./answer.js";
import { addMessage, forRequest, path } from "./tree.js";

const SAVE_EVERY = 1500; // ms, while an answer grows

// events: changed(conversation, message, run), ended(conversation, message, error or null), save(conversation)
export function answerer(events) {
  const runs = new Map();

  // Appends an answer to what `conversation` shows. `fields`: of the request. `loading`: the model is not there yet.
  async function start(conversation, model, fields, loading) {
    if (runs.has(conversation.id)) return;
    const messages = forRequest(conversation.system, path(conversation));
    const message = addMessage(conversation, conversation.leaf, "assistant", "", Date.now());
    Object.assign(message, { state: "running", model });
    const controller = new AbortController();
    const run = { conversation, message, controller, began: performance.now(), loading, speed: 0, stats: null };
    runs.set(conversation.id, run);
    const gathered = gatherer(message, () => performance.now() / 1000);
    events.changed(conversation, message, run);
    events.save(conversation);
    let saved = performance.now();
    let error = null;
    try {
      await chat({ model, messages, stream: true, stream_options: { include_usage: true }, ...fields }, controller.signal, (chunk) => {
        run.loading = false;
        gathered.take(chunk);
        run.stats = gathered.stats();
        events.changed(conversation, message, run);
        if (performance.now() - saved < SAVE_EVERY) return;
        saved = performance.now();
        events.save(conversation);
      });
      message.state = "done";
    } catch (thrown) {
      if (thrown.name === "AbortError") {
        message.state = "stopped";
      } else {
        error = thrown;
        message.state = "failed";
        message.error = thrown.message;
      }
    }
    message.stats = gathered.stats();
    conversation.updated = Date.now();
    runs.delete(conversation.id);
    events.save(conversation);
    events.ended(conversation, message, error);
  }

  return {
    start,
    of: (id) => runs.get(id) ?? null,
    ids: () => new Set(runs.keys()),
    all: () => Array.from(runs.values()),
    stop: (id) => runs.get(id)?.controller.abort(),
  };
}
