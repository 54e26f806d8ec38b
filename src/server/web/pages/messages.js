// Drawing the messages of a conversation. A view belongs to one message and is brought up to date as it grows.
import { copyButton, h, icon, iconButton } from "./dom.js";
import { seconds, statistics } from "./format.js";
import { codeBlock, render } from "./markdown.js";
import { versions } from "./tree.js";

// Questions longer than this (characters, lines) are shown folded.
const LONG = 1200;
const LONG_LINES = 16;

// ‹ 2 / 3 ›: goes through the versions of a message that was edited or answered again.
function versionButtons(conversation, message, actions) {
  const all = versions(conversation, message);
  if (all.length < 2) return null;
  const at = all.indexOf(message);
  const step = (name, label, to) => iconButton(name, label, () => actions.show(all[to].id), { disabled: !all[to] });
  return h(
    "span",
    { class: "versions", role: "group", "aria-label": "Versions" },
    step("previous", "Previous version", at - 1),
    h("span", {}, `${at + 1} / ${all.length}`),
    step("next", "Next version", at + 1),
  );
}

function userView(conversation, message, actions) {
  const bubble = h("div", { class: "bubble" }, message.content);
  const bar = h("div", { class: "actions" });
  const element = h("li", { class: "message user" }, h("h2", { class: "off-screen" }, "You"), bubble, bar);
  if (message.content.length > LONG || message.content.split("\n").length > LONG_LINES) fold();

  function fold() {
    const show = h("button", { type: "button", class: "quiet unfold", "aria-expanded": "false", onclick: () => {
      const folded = bubble.classList.toggle("folded");
      show.textContent = folded ? "Show all" : "Show less";
      show.setAttribute("aria-expanded", String(!folded));
    } }, "Show all");
    bubble.classList.add("folded");
    bubble.after(show);
  }
  const edit = iconButton("edit", "Edit message", () => startEditing());
  const copy = copyButton("Copy message", () => message.content);

  function startEditing() {
    const field = h("textarea", { "aria-label": "Edit message", rows: Math.min(12, message.content.split("\n").length + 1) });
    field.value = message.content;
    const end = () => {
      form.replaceWith(bubble);
      bar.hidden = false;
      edit.focus();
    };
    const send = () => {
      if (field.value.trim()) actions.edit(message, field.value);
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        end();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
    });
    const form = h(
      "div",
      { class: "editing" },
      field,
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", class: "quiet", onclick: end }, "Cancel"),
        h("button", { type: "button", class: "primary", onclick: send }, "Send"),
      ),
    );
    bubble.replaceWith(form);
    bar.hidden = true;
    field.focus();
  }

  return {
    element,
    edit: startEditing,
    update({ busy }) {
      edit.disabled = busy;
      bar.replaceChildren(...[versionButtons(conversation, message, actions), edit, copy].filter(Boolean));
    },
  };
}

function prettyArguments(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // still streaming, or not JSON
  }
}

function callView(call, index, message, actions) {
  const name = h("strong");
  const code = h("div");
  const result = h("div", { class: "call-result" });
  const element = h("section", { class: "call" }, h("div", { class: "call-head" }, icon("tool"), h("span", {}, "Tool call"), name), code, result);
  let drawn = null;
  let state = "";
  return {
    element,
    update(done) {
      name.textContent = call.name || "…";
      element.setAttribute("aria-label", `Tool call: ${call.name}`);
      if (drawn !== call.arguments + done) {
        drawn = call.arguments + done;
        code.replaceChildren(codeBlock("json", done ? prettyArguments(call.arguments) : call.arguments, "arguments"));
      }
      const wanted = call.result !== null ? "given" : done ? "asked" : "none";
      if (wanted === state) return;
      state = wanted;
      if (state === "given") result.replaceChildren(h("span", { class: "label" }, "Result"), h("pre", { tabindex: "0" }, call.result));
      else if (state === "asked") result.replaceChildren(...resultForm());
      else result.replaceChildren();
    },
  };

  // Tools are run by the person: what one gave is typed or pasted in.
  function resultForm() {
    const id = `result-${message.id}-${index}`;
    const field = h("textarea", { id, rows: "2", placeholder: "What the tool gave" });
    const give = h("button", { type: "button", class: "primary", onclick: () => actions.result(message, call, field.value) }, "Give result");
    return [h("label", { for: id, class: "label" }, "Result"), field, h("div", { class: "row" }, give)];
  }
}

function assistantView(conversation, message, actions) {
  const thoughtTitle = h("span");
  const thoughtText = h("div", { class: "prose" });
  const thought = h("details", { class: "thought" }, h("summary", {}, icon("thought"), thoughtTitle), thoughtText);
  const prose = h("div", { class: "prose" });
  const calls = h("div", { class: "calls" });
  const wait = h("p", { class: "wait" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", { class: "wait-text" }));
  const note = h("p", { class: "note" });
  const bar = h("div", { class: "actions" });
  const stats = h("span", { class: "stats" });
  const element = h("li", { class: "message assistant" }, h("h2", { class: "off-screen" }, "Answer"), thought, prose, calls, wait, note, bar);
  const copy = copyButton("Copy answer", () => message.content);
  const retry = iconButton("retry", "Answer again", () => actions.retry(message));
  const callViews = [];
  thought.addEventListener("toggle", () => thought.open && render(thoughtText, message.reasoning));

  function drawThought(running) {
    thought.hidden = !message.reasoning;
    if (thought.hidden) return;
    const thinking = running && !message.content && message.calls.length === 0;
    const took = message.thought ? ` for ${seconds(message.thought)}` : "";
    thoughtTitle.textContent = thinking ? "Thinking…" : `Thought${took}`;
    if (thought.open) render(thoughtText, message.reasoning);
  }

  function drawCalls(running) {
    while (callViews.length < message.calls.length) {
      const view = callView(message.calls[callViews.length], callViews.length, message, actions);
      callViews.push(view);
      calls.append(view.element);
    }
    for (const view of callViews) view.update(!running && message.state === "done");
  }

  function drawNote() {
    const notes = {
      stopped: "Stopped.",
      failed: message.error || "The answer failed.",
      done: message.finish === "length" ? "Cut off: the limit of tokens, or the end of the context, was reached." : "",
    };
    note.textContent = notes[message.state] ?? "";
    note.classList.toggle("failure", message.state === "failed");
    note.hidden = !note.textContent;
    if (message.state === "failed") note.append(" ", h("button", { type: "button", class: "quiet", onclick: () => actions.retry(message) }, "Try again"));
  }

  return {
    element,
    // `run`: what is running of this message (null: nothing); `busy`: something of the conversation is.
    update({ run, busy }) {
      drawThought(run !== null);
      render(prose, message.content);
      drawCalls(run !== null);
      const silent = run !== null && !message.content && !message.reasoning && message.calls.length === 0;
      wait.hidden = !silent;
      if (silent) this.waiting(run);
      drawNote();
      element.classList.toggle("running", run !== null);
      bar.hidden = run !== null;
      copy.hidden = !message.content;
      retry.disabled = busy;
      stats.textContent = [message.model, statistics(message.stats)].filter(Boolean).join(" · ");
      bar.replaceChildren(...[versionButtons(conversation, message, actions), copy, retry, stats].filter(Boolean));
    },
    waiting(run) {
      const waited = (performance.now() - run.began) / 1000;
      const why = run.loading ? "Loading the model" : "Reading the prompt";
      wait.querySelector(".wait-text").textContent = waited < 1 ? "" : `${why} · ${Math.floor(waited)} s`;
    },
  };
}

export function messageView(conversation, message, actions) {
  return message.role === "user" ? userView(conversation, message, actions) : assistantView(conversation, message, actions);
}
