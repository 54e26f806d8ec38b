// The list of conversations: grouped by time, searched by title, each with a menu.
import { find, h, icon, iconButton } from "./dom.js";
import { period } from "./format.js";
import { readSetting, writeSetting } from "./store.js";

// actions: open(id), rename(id), remove(id), save(id)
export function sidebar(actions) {
  const list = find("list");
  const search = find("search");
  const menu = find("menu");
  let heads = [];
  let current = null;
  let running = new Set();
  let menuButton = null;

  function row(head) {
    const title = head.title || "New chat";
    const more = iconButton("more", `More about ${title}`, (event) => openMenu(event.currentTarget, head), { "aria-haspopup": "menu", "aria-expanded": "false" });
    return h(
      "li",
      { class: "entry" },
      h(
        "button",
        { type: "button", class: "entry-open", "aria-current": head.id === current ? "true" : null, onclick: () => actions.open(head.id), title },
        running.has(head.id) ? h("span", { class: "entry-running", role: "img", "aria-label": "answering" }) : null,
        h("span", { class: "entry-title" }, title),
      ),
      more,
    );
  }

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const shown = heads.filter((head) => (head.title || "New chat").toLowerCase().includes(wanted)).sort((a, b) => b.updated - a.updated);
    const now = Date.now();
    list.replaceChildren();
    let group = "";
    let rows = null;
    for (const head of shown) {
      const name = period(head.updated, now);
      if (name !== group) {
        group = name;
        rows = h("ul", { class: "entries" });
        list.append(h("h2", { class: "period" }, name), rows);
      }
      rows.append(row(head));
    }
    if (shown.length === 0) list.append(h("p", { class: "nothing" }, wanted ? "No chat has such a title." : "Chats that you have are kept here, in this browser."));
    search.parentElement.hidden = heads.length < 8 && !wanted;
  }

  function closeMenu(focus) {
    if (menu.hidden) return;
    menu.hidden = true;
    menuButton?.setAttribute("aria-expanded", "false");
    if (focus) menuButton?.focus();
  }

  function openMenu(button, head) {
    if (!menu.hidden && menuButton === button) return closeMenu(true);
    closeMenu(false);
    menuButton = button;
    button.setAttribute("aria-expanded", "true");
    const item = (name, label, act, kind = "") =>
      h("button", { type: "button", role: "menuitem", tabindex: "-1", class: `menu-item ${kind}`, onclick: () => { closeMenu(true); act(head.id); } }, icon(name), label);
    menu.replaceChildren(
      item("edit", "Rename", actions.rename),
      item("save", "Export", actions.save),
      item("trash", "Delete", actions.remove, "danger"),
    );
    menu.hidden = false;
    const at = button.getBoundingClientRect();
    menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - menu.offsetWidth - 8))}px`;
    menu.style.top = `${at.bottom + menu.offsetHeight + 8 > innerHeight ? at.top - menu.offsetHeight - 4 : at.bottom + 4}px`;
    menu.firstElementChild.focus();
  }

  menu.addEventListener("keydown", (event) => {
    const items = Array.from(menu.children);
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) items[to % items.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") closeMenu(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target) && !menuButton?.contains(event.target)) closeMenu(false);
  });
  list.addEventListener("scroll", () => closeMenu(false));
  search.addEventListener("input", draw);

  return {
    update(newHeads, id, runningIds) {
      heads = newHeads;
      current = id;
      running = runningIds;
      draw();
    },
  };
}

// On a narrow screen the list lies over the page, which is then out of reach.
export function drawer() {
  const narrow = matchMedia("(max-width: 52rem)");
  const aside = find("sidebar");
  const page = find("page");
  const opener = find("open-sidebar");
  const shade = find("shade");

  function set(open, focus = true) {
    if (focus && !narrow.matches) writeSetting("sidebar", open);
    document.body.classList.toggle("sidebar-closed", !open);
    document.body.classList.toggle("sidebar-open", open);
    opener.setAttribute("aria-expanded", String(open));
    aside.inert = !open;
    page.inert = narrow.matches && open;
    shade.hidden = !(narrow.matches && open);
    if (focus && narrow.matches) (open ? find("close-sidebar") : opener).focus();
  }
  const isOpen = () => document.body.classList.contains("sidebar-open");
  opener.addEventListener("click", () => set(true));
  find("close-sidebar").addEventListener("click", () => {
    set(false);
    opener.focus();
  });
  shade.addEventListener("click", () => set(false));
  aside.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && narrow.matches) {
      event.stopPropagation();
      set(false);
    }
  });
  const fit = () => set(!narrow.matches && readSetting("sidebar", true) !== false, false);
  narrow.addEventListener("change", fit);
  fit();
  return {
    toggle: () => set(!isOpen()),
    closeIfNarrow: () => narrow.matches && isOpen() && set(false, false),
  };
}
