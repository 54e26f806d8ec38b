// The server: requests with the key where one is wanted, and errors that say what a person can do about them.
import { eventParser } from "./sse.js";

// kind: "offline" | "key" | "loading" | "busy" | "refused" | "server"
export class ServerError extends Error {
  constructor(kind, message, status = 0, retryAfter = 0) {
    super(message);
    Object.assign(this, { kind, status, retryAfter });
  }
}

const KEY = "xenon.key";
let key = "";
try {
  key = sessionStorage.getItem(KEY) || localStorage.getItem(KEY) || "";
} catch {
  // No storage: the key is asked for again.
}

export const hasKey = () => key !== "";

// For this tab, or kept in the browser until it is forgotten (an empty key).
export function setKey(value, keep) {
  key = value;
  try {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
    if (value) (keep ? localStorage : sessionStorage).setItem(KEY, value);
  } catch {
    // Then it holds until the page is left.
  }
}

async function failure(response) {
  let message = "";
  try {
    const body = await response.text();
    const said = JSON.parse(body).error;
    message = typeof said === "string" ? said : said?.message;
  } catch {
    // Not the server's own form (a proxy's page, say).
  }
  message = String(message || `The server answered ${response.status}.`);
  const kinds = { 401: "key", 429: "busy", 503: "loading" };
  const kind = kinds[response.status] ?? (response.status >= 500 ? "server" : "refused");
  return new ServerError(kind, message, response.status, Number(response.headers.get("Retry-After")) || 0);
}

export async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("offline", "The server can’t be reached.");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export async function getJson(path, signal) {
  const response = await request(path, { signal });
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("server", "The server’s answer is not JSON.");
  }
}

// [{ id, state, room }]; state: "loaded", "loading", "unloaded" or "" where it is not told; room: tokens of a request
// at the most, 0 where that is not told.
export async function models() {
  const list = await getJson("/v1/models");
  const data = Array.isArray(list?.data) ? list.data : [];
  return data
    .filter((model) => typeof model?.id === "string")
    .map((model) => ({ id: model.id, state: String(model.status?.value ?? ""), room: Number(model.meta?.n_ctx) || 0 }));
}

export const props = (model) => getJson(model ? `/props?model=${encodeURIComponent(model)}` : "/props");

// Streams an answer: each chunk goes to `take`, which may throw. Aborting `signal` rejects with AbortError.
export async function chat(body, signal, take) {
  const response = await request("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  let ended = false;
  const parse = eventParser((data) => {
    if (data === "[DONE]") ended = true;
    else if (!ended) take(JSON.parse(data));
  });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parse(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    if (error.name === "AbortError" || error.told) throw error;
    if (error instanceof SyntaxError) throw new ServerError("server", "The server’s stream is damaged.");
    throw new ServerError("offline", "The connection broke before the answer was complete.");
  } finally {
    reader.cancel().catch(() => {});
  }
  if (!ended) throw new ServerError("offline", "The connection ended before the answer was complete.");
}
