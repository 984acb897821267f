// What every page does beyond HTML: menus that close, keys, the palette, notices, copying. All of it is a convenience:
// without this script each page works by its links and forms.

import "./door.js";
import { focusSearch, mayAct } from "./keys.js";
import { dismissNewest, say, startNotices } from "./notices.js";
import { openPalette, startPalette } from "./palette.js";

const MENUS = "details.menu[open], details.chip-menu[open]";

function openDialog(name) {
  if (name === "palette") return openPalette();
  document.querySelector(MENUS)?.removeAttribute("open");
  document.getElementById(name)?.showModal();
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll(MENUS)) {
    if (!menu.contains(except)) menu.open = false;
  }
}

function closeInnermost() {
  const menu = document.activeElement?.closest(MENUS) ?? document.querySelector(MENUS);
  if (!menu) return dismissNewest();
  menu.open = false;
  menu.querySelector("summary").focus();
  return true;
}

async function copy(from) {
  const source = document.querySelector(from.dataset.copy);
  const text = source ? (source.value ?? source.textContent) : from.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    // Without https there is no clipboard for pages: choose the text, so that one key copies it.
    if (source?.select) source.select();
    else if (source) getSelection().selectAllChildren(source);
    say(source ? "The text is chosen: copy it with Ctrl C or Cmd C." : "The browser allows no copying here.");
  }
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : document.body;
  closeMenus(target);
  const copying = target.closest("[data-copy]");
  if (copying) copy(copying);
  const opener = target.closest("[data-opens]");
  if (opener && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    openDialog(opener.dataset.opens);
  }
});

// A form that must not be sent twice: its button rests while the answer is on its way.
function restButtons(form, rest) {
  for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = rest;
}

document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented && event.target.matches("form[data-once]")) restButtons(event.target, true);
});
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) for (const form of document.querySelectorAll("form[data-once]")) restButtons(form, false);
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    if (document.querySelector("#palette")) {
      event.preventDefault();
      openPalette();
    }
  } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (closeInnermost()) event.preventDefault();
  } else if (mayAct(event)) {
    if (event.key === "?") openDialog("keys");
    else if (event.key === "/" && focusSearch()) event.preventDefault();
  }
});

for (const element of document.querySelectorAll("[data-copy][hidden], [data-opens][hidden]")) element.hidden = false;
document.addEventListener("htmx:load", ({ detail }) => {
  for (const element of detail.elt.querySelectorAll("[data-copy][hidden]")) element.hidden = false;
});
document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
if (/Mac|iPhone|iPad/.test(navigator.platform)) {
  for (const key of document.querySelectorAll("[data-mod-key]")) key.textContent = `⌘ ${key.dataset.modKey}`;
}
startNotices();
startPalette();
