// A conversation: a tree of messages, since a message that was edited or answered again keeps its earlier versions.
// Plain data (it is stored and exported as it is) and functions on it; nothing here knows of the page.

export const FORMAT = "xenon-conversations";
const ROLES = ["user", "assistant"];
const MOST_TEXT = 16 << 20;
const MOST_MESSAGES = 20000;

// A new id: 96 random bits. crypto.randomUUID is missing where the page came over plain HTTP from another machine.
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function newConversation(system, now) {
  return { id: newId(), title: "", named: false, created: now, updated: now, system, leaf: null, messages: {} };
}

export function addMessage(conversation, parent, role, content, now) {
  const message = { id: newId(), parent, role, content, created: now, state: "done" };
  if (role === "assistant") Object.assign(message, { reasoning: "", calls: [], finish: null, model: "", stats: null, error: null });
  conversation.messages[message.id] = message;
  conversation.leaf = message.id;
  conversation.updated = now;
  return message;
}

// From the first message to the newest of the versions that are shown.
export function path(conversation) {
  const found = [];
  for (let id = conversation.leaf; id !== null && found.length <= MOST_MESSAGES; ) {
    const message = conversation.messages[id];
    if (!message) break;
    found.push(message);
    id = message.parent;
  }
  return found.reverse();
}

const children = (conversation, parent) =>
  Object.values(conversation.messages)
    .filter((message) => message.parent === parent)
    .sort((a, b) => a.created - b.created);

// All versions of a message, oldest first; itself among them.
export function versions(conversation, message) {
  return children(conversation, message.parent);
}

// Shows another version, with the newest of what followed it.
export function showVersion(conversation, id) {
  for (;;) {
    const following = children(conversation, id);
    if (following.length === 0) break;
    id = following[following.length - 1].id;
  }
  conversation.leaf = id;
}

export const waitsForResults = (message) =>
  message?.role === "assistant" && message.state === "done" && message.calls.length > 0 && message.calls.some((call) => call.result === null);

// The messages of a request that asks for what follows `messages` (of path).
export function forRequest(system, messages) {
  const wanted = system.trim() ? [{ role: "system", content: system }] : [];
  const lastQuestion = messages.findLastIndex((message) => message.role === "user");
  messages.forEach((message, index) => {
    if (message.role === "user") {
      // After an answer that failed two questions meet, which many templates refuse.
      const before = wanted.at(-1);
      if (before?.role === "user") before.content += `\n\n${message.content}`;
      else wanted.push({ role: "user", content: message.content });
      return;
    }
    if (!message.content && message.calls.length === 0) return; // failed or stopped before it said anything
    const said = { role: "assistant", content: message.content };
    // Between calls of tools a model goes on with what it thought; earlier turns' thoughts are not wanted.
    if (message.reasoning && index > lastQuestion) said.reasoning_content = message.reasoning;
    if (message.calls.length > 0)
      said.tool_calls = message.calls.map((call, at) => ({
        id: call.id || `call_${at}`,
        type: "function",
        function: { name: call.name, arguments: call.arguments },
      }));
    wanted.push(said);
    message.calls.forEach((call, at) =>
      wanted.push({ role: "tool", tool_call_id: call.id || `call_${at}`, content: call.result ?? "No result was given." }),
    );
  });
  return wanted;
}

// A title from the first thing that was asked.
export function titleOf(text) {
  const line = text.replace(/[\s`#*_>]+/g, " ").trim();
  if (line.length <= 48) return line || "New chat";
  const cut = line.slice(0, 48);
  const space = cut.lastIndexOf(" ");
  return `${space > 24 ? cut.slice(0, space) : cut}…`;
}

export function toMarkdown(conversation) {
  const parts = [`# ${conversation.title || "New chat"}`];
  if (conversation.system.trim()) parts.push(`## System\n\n${conversation.system.trim()}`);
  for (const message of path(conversation)) {
    parts.push(message.role === "user" ? "## You" : `## ${message.model || "Assistant"}`);
    if (message.reasoning) parts.push(message.reasoning.trim().replace(/^/gm, "> "));
    if (message.content) parts.push(message.content.trim());
    for (const call of message.calls ?? []) {
      parts.push(`\`\`\`json\n${JSON.stringify({ name: call.name, arguments: call.arguments, result: call.result }, null, 2)}\n\`\`\``);
    }
  }
  return `${parts.join("\n\n")}\n`;
}

export const toFile = (conversations) => JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 1);

const text = (value) => (typeof value === "string" ? value : "");
const number = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);

function checkedMessage(given, now) {
  if (typeof given !== "object" || given === null || !ROLES.includes(given.role)) throw new Error("a message has no known role");
  const message = { id: "", parent: null, role: given.role, content: text(given.content), created: number(given.created, now), state: "done" };
  if (message.role === "user") return message;
  return Object.assign(message, {
    state: ["done", "stopped", "failed"].includes(given.state) ? given.state : "done",
    reasoning: text(given.reasoning),
    thought: number(given.thought, 0),
    calls: (Array.isArray(given.calls) ? given.calls : []).map((call) => ({
      id: text(call?.id),
      name: text(call?.name),
      arguments: text(call?.arguments),
      result: typeof call?.result === "string" ? call.result : null,
    })),
    finish: typeof given.finish === "string" ? given.finish : null,
    model: text(given.model),
    error: typeof given.error === "string" ? given.error : null,
    stats: checkedStats(given.stats),
  });
}

function checkedStats(given) {
  if (typeof given !== "object" || given === null) return null;
  const stats = { exact: given.exact === true };
  for (const name of ["generated", "prompt", "cached", "first", "speed"]) stats[name] = number(given[name], 0);
  return stats;
}

// Reads what toFile wrote, or anybody: only known fields of the right types are taken, and all ids are new.
// Throws an Error that says what is wrong.
export function fromFile(file, now) {
  if (file.length > 4 * MOST_TEXT) throw new Error("the file is too large");
  let data;
  try {
    data = JSON.parse(file);
  } catch {
    throw new Error("the file is not JSON");
  }
  if (data?.format !== FORMAT || !Array.isArray(data.conversations)) throw new Error("the file holds no conversations of Xenon");
  return data.conversations.map((given) => {
    if (typeof given !== "object" || given === null || typeof given.messages !== "object" || given.messages === null)
      throw new Error("a conversation has no messages");
    const entries = Object.entries(given.messages);
    if (entries.length > MOST_MESSAGES) throw new Error("a conversation has too many messages");
    const conversation = newConversation(text(given.system), now);
    const ids = new Map(entries.map(([id]) => [id, newId()]));
    for (const [id, from] of entries) {
      const message = checkedMessage(from, now);
      message.id = ids.get(id);
      message.parent = from.parent === null ? null : ids.get(from.parent) ?? null;
      conversation.messages[message.id] = message;
    }
    for (const message of Object.values(conversation.messages)) breakCycle(conversation, message);
    conversation.title = text(given.title).slice(0, 200) || "Imported chat";
    conversation.named = true;
    conversation.created = number(given.created, now);
    conversation.updated = number(given.updated, now);
    conversation.leaf = ids.get(given.leaf) ?? null;
    if (conversation.leaf === null && entries.length > 0) showVersion(conversation, children(conversation, null)[0].id);
    return conversation;
  });
}

// A message that is its own ancestor becomes a first one.
function breakCycle(conversation, message) {
  const seen = new Set();
  for (let at = message; at.parent !== null; at = conversation.messages[at.parent]) {
    if (seen.has(at.id)) {
      at.parent = null;
      return;
    }
    seen.add(at.id);
  }
}
