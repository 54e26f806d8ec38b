// Conversations in the browser's own database. Heads (what the list shows) stand apart from bodies, so that the list
// is quick however long the conversations are. Where there is no database, they live as long as the page.

const head = ({ id, title, named, created, updated }) => ({ id, title, named, created, updated });

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function openDatabase() {
  const request = indexedDB.open("xenon", 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("heads", { keyPath: "id" });
    request.result.createObjectStore("bodies", { keyPath: "id" });
  };
  return done(request);
}

// `changed`: called when another tab has changed something, with the conversation's id (null: many).
export async function openStore(changed) {
  let database = null;
  try {
    database = await openDatabase();
  } catch {
    return memoryStore();
  }
  const tabs = typeof BroadcastChannel === "function" ? new BroadcastChannel("xenon") : null;
  if (tabs) tabs.onmessage = (event) => changed(event.data);

  const write = (work) =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction(["heads", "bodies"], "readwrite");
      work(transaction.objectStore("heads"), transaction.objectStore("bodies"));
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
  return {
    lasting: true,
    heads: () => done(database.transaction("heads").objectStore("heads").getAll()),
    load: (id) => done(database.transaction("bodies").objectStore("bodies").get(id)),
    all: () => done(database.transaction("bodies").objectStore("bodies").getAll()),
    async save(conversations) {
      await write((heads, bodies) => {
        for (const conversation of conversations) {
          heads.put(head(conversation));
          bodies.put(conversation);
        }
      });
      tabs?.postMessage(conversations.length === 1 ? conversations[0].id : null);
    },
    async remove(id) {
      await write((heads, bodies) => {
        heads.delete(id);
        bodies.delete(id);
      });
      tabs?.postMessage(id);
    },
    async clear() {
      await write((heads, bodies) => {
        heads.clear();
        bodies.clear();
      });
      tabs?.postMessage(null);
    },
  };
}

function memoryStore() {
  const kept = new Map();
  return {
    lasting: false,
    heads: async () => Array.from(kept.values(), head),
    load: async (id) => kept.get(id),
    all: async () => Array.from(kept.values()),
    save: async (conversations) => conversations.forEach((conversation) => kept.set(conversation.id, conversation)),
    remove: async (id) => void kept.delete(id),
    clear: async () => kept.clear(),
  };
}

// Small settings; storage may be forbidden or full, which is no reason to fail.
export function readSetting(name, otherwise) {
  try {
    const text = localStorage.getItem(`xenon.${name}`);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

export function writeSetting(name, value) {
  try {
    localStorage.setItem(`xenon.${name}`, JSON.stringify(value));
  } catch {
    // Then it holds until the page is left.
  }
}
