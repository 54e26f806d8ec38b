// Markdown to elements, safely, and so that a text that grows is drawn again only where it changed.
//
// Two walls against what a model may write: tags in the text are shown as text (but for a few harmless ones), and
// what the Markdown parser makes goes through DOMPurify with a short list of what may stay. Where DOMPurify is
// missing or fails, the text is shown as it is. The page's policy forbids scripts and other hosts anyway.
import { copyButton, h } from "./dom.js";

const TAGS =
  "p br hr h1 h2 h3 h4 h5 h6 strong em del code pre blockquote ul ol li table thead tbody tr th td a input sub sup kbd u mark details summary span".split(" ");
const ATTRIBUTES = ["href", "title", "start", "align", "class", "type", "checked", "disabled"];
const PASSED = /^<\/?(?:br|sub|sup|kbd|u|mark)\s*\/?>$/i;
const SAFE_LINK = /^(?:https?|mailto):/i;
const MOST_HIGHLIGHTED = 100000; // characters of a block of code

const marked = window.marked;
const purifier = window.DOMPurify;

const escape = (text) =>
  text.replace(/[&<>"']/g, (found) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[found]);

function sanitized(html) {
  return purifier.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: SAFE_LINK, // which would else hold for the values of all attributes
    ADD_URI_SAFE_ATTR: ATTRIBUTES.filter((name) => name !== "href"),
    RETURN_DOM_FRAGMENT: true,
  });
}

// Formulas stay as they were written: Markdown would take their backslashes and underscores away.
const formula = {
  name: "formula",
  level: "inline",
  start: (source) => source.search(/\\[([]|\$\$/),
  tokenizer(source) {
    const found = /^(?:\\\((.+?)\\\)|\\\[([\s\S]+?)\\\]|\$\$([\s\S]+?)\$\$)/.exec(source);
    return found ? { type: "formula", raw: found[0], text: (found[1] ?? found[2] ?? found[3]).trim() } : undefined;
  },
  renderer: (token) => `<code class="formula">${escape(token.text)}</code>`,
};

if (marked) {
  marked.use({
    gfm: true,
    mangle: false,
    headerIds: false,
    extensions: [formula],
    renderer: {
      html: (html) => (PASSED.test(html.trim()) ? html : escape(html)),
      // The page's own headings stand above those of an answer.
      heading: (text, level) => `<h${Math.min(6, level + 2)}>${text}</h${Math.min(6, level + 2)}>`,
      // An image would be a request to another host, so it becomes a link.
      image: (href, title, text) => `<a href="${escape(href ?? "")}">${escape(text || href || "image")}</a>`,
    },
  });
}

// Whether this build's libraries do what is asked of them: one release of Debian's DOMPurify fails on all input.
export const works = (() => {
  try {
    const fragment = sanitized(marked.parse("*a*<img src=x onerror=alert(1)>"));
    return fragment.querySelector("em") !== null && fragment.querySelector("img") === null;
  } catch {
    return false;
  }
})();

let highlighter = null; // a promise of highlight.js, which is large and loaded when first needed
const loadHighlighter = () =>
  (highlighter ??= import("/web/lib/highlight.js").then(
    () => {
      // Version 9, which Debian has, would say on the console that it is old.
      window.hljs?.configure({ hideUpgradeWarningAcceptNoSupportOrSecurityUpdates: true });
      return window.hljs ?? null;
    },
    () => null,
  ));

async function highlight(element, language) {
  const hljs = await loadHighlighter();
  if (!hljs?.getLanguage(language)) return;
  try {
    element.replaceChildren(sanitized(hljs.highlight(language, element.source, true).value));
  } catch {
    // It stays plain.
  }
}

// Puts code into its element. What is added to code that grows is plain at first: colours follow as often as a tenth of
// the time allows.
function fillCode(element, language, code) {
  const before = element.source ?? "";
  if (code.startsWith(before)) element.append(code.slice(before.length));
  else element.textContent = code;
  element.source = code;
  if (!works || !language || code.length > MOST_HIGHLIGHTED || element.waiting) return;
  element.waiting = true;
  setTimeout(async () => {
    element.waiting = false;
    const began = performance.now();
    await highlight(element, language);
    element.pause = Math.min(2000, 10 * (performance.now() - began));
  }, element.pause ?? 0);
}

// A block of code with its language and a button that copies it.
export function codeBlock(language, code, label = language) {
  const element = h("code");
  const copy = copyButton("Copy code", () => element.textContent);
  const name = label || "text";
  const block = h(
    "div",
    { class: "code" },
    h("div", { class: "code-head" }, h("span", {}, name), copy),
    h("pre", { tabindex: "0", role: "region", "aria-label": `Code: ${name}` }, element),
  );
  fillCode(element, language, code);
  return block;
}

const languageOf = (token) => (/^[\w+#.-]{1,40}/.exec((token.lang || "").trim())?.[0] ?? "").toLowerCase();

function finishLinks(fragment) {
  for (const link of fragment.querySelectorAll("a")) {
    if (!link.hasAttribute("href")) {
      link.replaceWith(...link.childNodes);
      continue;
    }
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const box of fragment.querySelectorAll("input")) {
    if (box.type !== "checkbox") box.remove();
    box.disabled = true;
    box.setAttribute("aria-label", box.checked ? "done" : "to do");
  }
  for (const table of fragment.querySelectorAll("table")) {
    const scroller = h("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" });
    table.replaceWith(scroller);
    scroller.append(table);
  }
  // Code inside of lists and quotes.
  for (const code of fragment.querySelectorAll("pre > code")) {
    const language = /language-(\S+)/.exec(code.className)?.[1]?.toLowerCase() ?? "";
    code.parentNode.replaceWith(codeBlock(language, code.textContent.replace(/\n$/, "")));
  }
  return fragment;
}

function blockNodes(token, links) {
  if (token.type === "space") return [];
  if (token.type === "code" && (token.codeBlockStyle !== "indented" || token.lang)) return [codeBlock(languageOf(token), token.text)];
  if (token.type === "html" && !PASSED.test(token.raw.trim())) return [h("p", { class: "tags" }, token.raw.trimEnd())];
  const tokens = [token];
  tokens.links = links;
  return Array.from(finishLinks(sanitized(marked.parser(tokens))).childNodes);
}

// Draws `text` into `container`, which it alone fills: blocks that are as they were stay untouched.
export function render(container, text) {
  if (!works) {
    container.classList.add("plain");
    container.textContent = text;
    return;
  }
  let tokens;
  try {
    tokens = marked.lexer(text);
  } catch {
    container.textContent = text;
    container.drawn = null;
    return;
  }
  const links = JSON.stringify(tokens.links);
  let drawn = container.drawn;
  if (!drawn || drawn.links !== links) {
    container.replaceChildren();
    drawn = container.drawn = { links, blocks: [] };
  }
  let same = 0;
  while (same < drawn.blocks.length && same < tokens.length && drawn.blocks[same].raw === tokens[same].raw) same += 1;
  // Code that grows keeps its element, so that its button and what is selected above stay.
  const old = drawn.blocks[same];
  const token = tokens[same];
  if (old && token && same === drawn.blocks.length - 1 && old.code && token.type === "code" && token.text.startsWith(old.text) && old.language === languageOf(token)) {
    fillCode(old.nodes[0].querySelector("code"), old.language, token.text);
    Object.assign(old, { raw: token.raw, text: token.text });
    same += 1;
  }
  for (const block of drawn.blocks.splice(same)) for (const node of block.nodes) node.remove();
  for (const next of tokens.slice(same)) {
    let nodes;
    try {
      nodes = blockNodes(next, tokens.links);
    } catch {
      nodes = [h("p", {}, next.raw)];
    }
    container.append(...nodes);
    const code = nodes.length === 1 && nodes[0].className === "code" && next.type === "code";
    drawn.blocks.push({ raw: next.raw, nodes, code, text: code ? next.text : "", language: code ? languageOf(next) : "" });
  }
}
