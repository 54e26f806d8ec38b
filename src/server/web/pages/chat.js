// The chat: what is shown and how its parts play together.
import { hasKey } from "./api.js";
import { takeFiles } from "./attach.js";
import { modelChooser } from "./chooser.js";
import { askForKey, confirmation, lineOfText, openDialog, wireDialogs } from "./dialogs.js";
import { drawIcons, find, saveFile } from "./dom.js";
import { follower } from "./follow.js";
import { count, speed } from "./format.js";
import { works as markdownWorks } from "./markdown.js";
import { messageView } from "./messages.js";
import { answerer } from "./runs.js";
import { requestFields, setTheme, settingsDialog, theme } from "./settings.js";
import { drawer, sidebar } from "./sidebar.js";
import { openStore } from "./store.js";
import * as tree from "./tree.js";

const input = find("input");
const sendButton = find("send");
const stopButton = find("stop");
const list = find("messages");
// On a phone's keyboard Enter makes a line; a button sends.
const touch = matchMedia("(hover: none) and (pointer: coarse)").matches;
if (touch) input.enterKeyHint = "enter";

let store = null;
let heads = [];
let conversation = tree.newConversation("", Date.now()); // the one shown
let views = new Map(); // of its messages, by id
let offline = null; // a timer that looks for the server again

const view = follower(find("scroll"), () => input.focus());

// What is said to screen readers: states, and answers when they are complete.
function say(text) {
  find("said").textContent = text;
}

// --- messages

const run = () => runs.of(conversation.id);

function drawMessages() {
  const shown = tree.path(conversation);
  const kept = new Map();
  const elements = shown.map((message) => {
    const view = views.get(message.id) ?? messageView(conversation, message, messageActions);
    kept.set(message.id, view);
    return view.element;
  });
  views = kept;
  // Elements that stay are not moved, so that the focus and what is selected in them stay too.
  const wanted = new Set(elements);
  for (const element of Array.from(list.children)) if (!wanted.has(element)) element.remove();
  elements.forEach((element, at) => {
    if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
  });
  for (const message of shown) updateMessage(message);
  find("empty").hidden = shown.length > 0;
  find("title").textContent = conversation.title || "New chat";
  document.title = conversation.title ? `${conversation.title} · Xenon` : "Xenon";
  drawStatus();
}

function updateMessage(message) {
  const current = run();
  views.get(message.id)?.update({ run: current?.message === message ? current : null, busy: current !== null });
}

function drawStatus() {
  const current = run();
  sendButton.hidden = current !== null;
  stopButton.hidden = current === null;
  sendButton.disabled = !input.value.trim() || !chooser.id();
  const last = tree.path(conversation).findLast((message) => message.role === "assistant" && (message.stats || current?.message === message));
  const stats = current?.stats ?? last?.stats;
  find("speed").textContent = stats?.speed > 0 ? `${current || !stats.exact ? "~" : ""}${speed(stats.speed)} tokens/s` : "";
  drawContext(stats);
}

function drawContext(stats) {
  const room = chooser.room();
  const used = stats ? stats.prompt + stats.generated : 0;
  const element = find("context");
  element.hidden = !room || !used || !stats.prompt;
  if (element.hidden) return;
  const share = Math.min(1, used / room);
  element.querySelector(".meter-used").setAttribute("width", String(share * 100));
  element.classList.toggle("nearly", share > 0.9);
  find("context-text").textContent = `Context ${count(used)} of ${count(room)}`;
}

// An answer that grows is drawn at most once a frame, and less often where drawing takes long.
let drawing = null;
function drawSoon(message) {
  if (drawing) return;
  drawing = setTimeout(() => {
    requestAnimationFrame(() => {
      const began = performance.now();
      drawing = null;
      view.during(() => {
        updateMessage(message);
        drawStatus();
      });
      drawDelay = Math.min(400, Math.max(30, 4 * (performance.now() - began)));
    });
  }, drawDelay);
}
let drawDelay = 30;
setInterval(() => {
  const current = run();
  if (current) views.get(current.message.id)?.waiting(current);
}, 500);

// --- answers

const runs = answerer({
  changed(of, message) {
    if (of !== conversation) return;
    if (views.has(message.id)) {
      drawSoon(message);
      return;
    }
    drawMessages();
    view.toEnd();
  },
  ended(of, message, error) {
    if (error) trouble(error, message);
    else if (offline) backOnline();
    chooser.refresh();
    drawList();
    if (of !== conversation) return;
    view.during(drawMessages);
    const plain = views.get(message.id)?.element.querySelector(":scope > .prose")?.textContent ?? "";
    if (message.state === "done") say(plain ? `Answer: ${plain.slice(0, 2000)}` : message.calls.length > 0 ? "The model calls a tool and waits for the result." : "The answer is empty.");
    else if (message.state === "stopped") say("Stopped.");
  },
  save: keep,
});

function keep(saved) {
  store.save([saved]).catch(() => notice("This chat could not be saved: the browser’s storage is full or not allowed."));
  const at = heads.findIndex((head) => head.id === saved.id);
  const { id, title, named, created, updated } = saved;
  if (at >= 0) heads[at] = { id, title, named, created, updated };
  else heads.push({ id, title, named, created, updated });
}

function answer() {
  const model = chooser.id();
  if (!model) return;
  say("Waiting for the answer.");
  runs.start(conversation, model, requestFields(settings.settings), chooser.loads());
  drawList();
  placeAddress();
}

function send(text) {
  if (!offline) notice("");
  // A question after a call of tools leaves that without a result.
  tree.addMessage(conversation, conversation.leaf, "user", text, Date.now());
  if (!conversation.named) conversation.title ||= tree.titleOf(text);
  answer();
}

const messageActions = {
  show(id) {
    if (run()) return;
    tree.showVersion(conversation, id);
    keep(conversation);
    drawMessages();
    say("Another version is shown.");
  },
  edit(message, text) {
    if (run()) return;
    conversation.leaf = message.parent;
    send(text);
    input.focus();
  },
  retry(message) {
    if (run()) return;
    conversation.leaf = message.parent;
    answer();
    input.focus();
  },
  result(message, call, text) {
    if (run()) return;
    call.result = text;
    if (!tree.waitsForResults(message)) answer();
    else drawMessages();
    keep(conversation);
  },
};

// --- trouble

function notice(text, label, act) {
  const element = find("notice");
  // Said once: a screen reader would read it again whenever it is put there.
  if (element.firstChild?.textContent === text && !label) return;
  element.replaceChildren(text);
  if (label) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = label;
    button.addEventListener("click", act);
    element.append(" ", button);
  }
  element.hidden = !text;
}

function trouble(error, message) {
  if (error.kind === "key") {
    askForKey(hasKey() ? "The key was not accepted." : "Ask whoever runs the server for one.").then(async (given) => {
      if (!given) return notice("The server wants an API key.", "Enter key", () => trouble(error, message));
      notice("");
      await chooser.look();
      if (message && conversation.leaf === message.id) messageActions.retry(message);
    });
  } else if (error.kind === "offline" || error.kind === "loading") {
    notice(error.kind === "offline" ? "The server can’t be reached. Looking for it again…" : "The server is loading its model…");
    document.body.classList.add("offline");
    clearTimeout(offline);
    offline = setTimeout(chooser.look, 2000);
  } else if (!message) {
    notice(error.message, "Try again", chooser.look);
  } else if (error.kind === "busy") {
    notice(`The server is busy${error.retryAfter ? `; it asks to try again in ${error.retryAfter} s` : ""}.`);
  }
}

const chooser = modelChooser({
  changed() {
    drawStatus();
    const build = chooser.build();
    if (typeof build === "string") find("about").textContent ||= `Server: ${build}`;
  },
  trouble: (error) => trouble(error, null),
  found: backOnline,
});

function backOnline() {
  clearTimeout(offline);
  offline = null;
  document.body.classList.remove("offline");
  notice("");
}

// --- conversations

function drawList() {
  listed.update(heads, conversation.id, runs.ids());
}

function show(next) {
  if (conversation?.id !== next.id) views = new Map();
  conversation = next;
  list.replaceChildren();
  drawMessages();
  drawList();
  view.toEnd();
  placeAddress();
}

// The address names the chat that is shown, once there is something in it to come back to.
function placeAddress() {
  history.replaceState(null, "", heads.some((head) => head.id === conversation.id) ? `#${conversation.id}` : location.pathname);
}

function newChat() {
  show(tree.newConversation(settings.settings.system, Date.now()));
  side.closeIfNarrow();
  input.focus();
}

async function load(id) {
  const running = runs.of(id);
  if (running) return running.conversation; // what grows, not its copy in the store
  const found = await store.load(id);
  // The page was left in the middle of an answer.
  for (const message of Object.values(found?.messages ?? {})) if (message.state === "running") message.state = "stopped";
  return found;
}

async function open(id) {
  const found = await load(id);
  if (!found) return newChat();
  show(found);
  side.closeIfNarrow();
  input.focus();
}

const listActions = {
  open,
  async rename(id) {
    const found = id === conversation.id ? conversation : await load(id);
    if (!found) return;
    const title = await lineOfText("Rename chat", "Title", found.title);
    if (!title) return;
    Object.assign(found, { title, named: true });
    keep(found);
    drawList();
    if (found === conversation) drawMessages();
  },
  async remove(id) {
    const title = heads.find((head) => head.id === id)?.title || "New chat";
    if (!(await confirmation("Delete chat?", `“${title}” will be gone for good.`, "Delete"))) return;
    runs.stop(id);
    deleted.add(id);
    await store.remove(id);
    heads = heads.filter((head) => head.id !== id);
    if (conversation.id === id) newChat();
    else drawList();
    say("Chat deleted.");
  },
  async save(id) {
    const found = id === conversation.id ? conversation : await load(id);
    if (found) saveFile(`${fileName(found.title)}.md`, "text/markdown", tree.toMarkdown(found));
  },
};
const deleted = new Set(); // what must not be saved again by an answer that ends

const fileName = (title) => (title || "chat").replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 60) || "chat";

const settings = settingsDialog({
  system(text) {
    conversation.system = text;
    if (heads.some((head) => head.id === conversation.id)) keep(conversation);
  },
  defaults: () => chooser.defaults(),
  async key() {
    if (await askForKey("It is sent with each request to this server, and to no other.")) await chooser.look();
  },
  async exportAll() {
    const all = await store.all();
    saveFile("xenon-chats.json", "application/json", tree.toFile(all));
    say(`${all.length} chats exported.`);
  },
  async importFile(file) {
    try {
      const read = tree.fromFile(await file.text(), Date.now());
      await store.save(read);
      heads = await store.heads();
      drawList();
      aboutText(`${count(read.length)} chats were imported.`);
    } catch (error) {
      aboutText(`Not imported: ${error.message}.`);
    }
  },
  async removeAll() {
    if (!(await confirmation("Delete all chats?", "All chats in this browser will be gone for good. Export them first to keep them.", "Delete all"))) return;
    for (const id of runs.ids()) {
      deleted.add(id);
      runs.stop(id);
    }
    await store.clear();
    heads = [];
    newChat();
    aboutText("All chats were deleted.");
  },
});

function aboutText(text) {
  find("about").textContent = text;
  say(text);
}

const side = drawer();
const listed = sidebar(listActions);

// --- the field

function grow() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, innerHeight * 0.4)}px`;
}

function submit() {
  const text = input.value.trim();
  if (!text || run() || !chooser.id()) return;
  input.value = "";
  grow();
  send(text);
}

takeFiles(notice, () => {
  grow();
  drawStatus();
  input.focus();
});

input.addEventListener("input", () => {
  grow();
  drawStatus();
});
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.isComposing && !touch) {
    event.preventDefault();
    submit();
  } else if (event.key === "ArrowUp" && !input.value && !run()) {
    const last = tree.path(conversation).findLast((message) => message.role === "user");
    if (!last) return;
    event.preventDefault();
    views.get(last.id).edit();
  }
});
sendButton.addEventListener("click", () => {
  submit();
  input.focus();
});
stopButton.addEventListener("click", () => {
  runs.stop(conversation.id);
  input.focus();
});

function switchTheme(next) {
  if (next) setTheme(next);
  const names = { system: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  find("switch-theme").lastElementChild.textContent = names[theme()];
  settings.themeChanged();
}
find("switch-theme").addEventListener("click", () => switchTheme({ system: "light", light: "dark", dark: "system" }[theme()]));
for (const radio of document.querySelectorAll("[name=theme]")) radio.addEventListener("change", () => switchTheme());

find("new").addEventListener("click", newChat);
find("new-top").addEventListener("click", newChat);
const openSettings = () => settings.open(conversation.system);
find("open-settings").addEventListener("click", openSettings);
find("open-shortcuts").addEventListener("click", () => openDialog("shortcuts"));

const shortcuts = {
  "shift+o": newChat,
  "shift+s": () => side.toggle(),
  "shift+enter": () => {
    const last = tree.path(conversation).at(-1);
    if (last?.role === "assistant") messageActions.retry(last);
  },
  ",": openSettings,
  "/": () => openDialog("shortcuts"),
};
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && run()) {
    event.preventDefault();
    runs.stop(conversation.id);
    return;
  }
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  const act = shortcuts[(event.shiftKey ? "shift+" : "") + event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});

// --- beginning

async function changedElsewhere(id) {
  heads = await store.heads();
  drawList();
  if (id !== null && id !== conversation.id) return;
  if (run() || !heads.some((head) => head.id === conversation.id)) return;
  const found = await store.load(conversation.id);
  if (found) {
    views = new Map();
    show(found);
  }
}

async function begin() {
  drawIcons();
  wireDialogs();
  switchTheme();
  if (!markdownWorks) {
    document.documentElement.dataset.markdown = "off";
    aboutText("This build has no working Markdown libraries (see docs/serving.md); answers are shown as plain text.");
  }
  const real = await openStore(changedElsewhere);
  store = { ...real, save: (conversations) => real.save(conversations.filter((one) => !deleted.has(one.id))) };
  heads = await store.heads();
  conversation.system = settings.settings.system;
  const wanted = location.hash.slice(1);
  const found = wanted ? await load(wanted) : null;
  show(found ?? conversation);
  await chooser.look();
  if (!store.lasting) notice("This browser keeps no data for this page: chats are lost when it is left.");
  document.documentElement.dataset.ready = "yes";
}

addEventListener("pagehide", () => {
  for (const { conversation: left, controller } of runs.all()) {
    keep(left);
    controller.abort();
  }
});

begin();
