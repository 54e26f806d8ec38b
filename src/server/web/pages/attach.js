// Files that come along with a question: chosen, or dropped on the page.
import { find } from "./dom.js";

const MOST_ATTACHED = 1 << 20; // bytes of a file

// Puts text files into the field, where they can be read, changed and taken out.
async function attach(files, notice) {
  const input = find("input");
  for (const file of files) {
    const text = file.size <= MOST_ATTACHED ? await file.text() : "";
    if (!text || /[\0\uFFFD]/.test(text)) {
      notice(file.size > MOST_ATTACHED ? `${file.name} is larger than 1 MB.` : `${file.name} is empty, or no text.`);
      continue;
    }
    let ticks = 3; // more than any in the file
    for (const [run] of text.matchAll(/`+/g)) ticks = Math.max(ticks, run.length + 1);
    const fence = "`".repeat(ticks);
    const kind = /\.(\w{1,10})$/.exec(file.name)?.[1].toLowerCase() ?? "";
    input.value += `${input.value.trim() ? "\n\n" : ""}${file.name}:\n${fence}${kind}\n${text.replace(/\n$/, "")}\n${fence}\n\n`;
  }
}

// `notice`: says why one was not taken; `taken`: called when the field has changed.
export function takeFiles(notice, taken) {
  const take = async (files) => {
    await attach(files, notice);
    taken();
  };
  find("attach").addEventListener("click", () => find("attach-file").click());
  find("attach-file").addEventListener("change", async (event) => {
    await take(Array.from(event.target.files));
    event.target.value = "";
  });
  const page = find("page");
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  page.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    page.classList.add("dropping");
  });
  page.addEventListener("dragleave", (event) => {
    if (!page.contains(event.relatedTarget)) page.classList.remove("dropping");
  });
  page.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    page.classList.remove("dropping");
    take(Array.from(event.dataTransfer.files));
  });
}
