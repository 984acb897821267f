// The list of outputs: one opens beside the list where there is room, keys walk the rows, and the chosen are counted.
// Without this script each row is a link to the output's page, and the checkboxes are part of the form.

import { mayAct } from "./keys.js";

const list = document.querySelector("#outputs");
const side = document.querySelector("#side");
const counted = document.querySelector("#n-chosen");
const all = document.querySelector("#choose-all");
const some = document.querySelector("#choose-chosen");
const hasRoom = matchMedia("(width >= 60rem)");

const rows = () => [...list.querySelectorAll("tbody tr:not(.older)")];
const linkOf = (row) => row.querySelector(".input-cell a");

function open(row) {
  for (const other of list.querySelectorAll("[aria-selected]")) other.removeAttribute("aria-selected");
  row.setAttribute("aria-selected", "true");
  side.hidden = false;
  window.htmx.ajax("GET", linkOf(row).href, { target: side, swap: "innerHTML" });
}

function close() {
  side.hidden = true;
  side.replaceChildren();
  const row = list.querySelector("[aria-selected]");
  row?.removeAttribute("aria-selected");
  if (row) linkOf(row).focus();
}

function count() {
  const n = list.querySelectorAll("[name=output]:checked").length;
  counted.hidden = n === 0;
  counted.textContent = `${n} chosen of`;
  if (some) document.querySelector("#chosen-words").textContent = n ? `The ${n} chosen` : "Those chosen in the list, none yet";
  return n;
}

/** Where nothing is chosen, only all that match can be meant; one that is chosen means itself. */
function choose() {
  const n = count();
  if (some) (n ? some : all).checked = true;
}

function step(by) {
  const here = document.activeElement?.closest("#outputs tbody tr") ?? list.querySelector("[aria-selected]");
  const known = rows();
  const next = known[here ? known.indexOf(here) + by : 0];
  if (!next) return;
  linkOf(next).focus();
  next.scrollIntoView({ block: "nearest" });
  if (!side.hidden) open(next);
}

function act(event) {
  const row = document.activeElement?.closest("#outputs tbody tr:not(.older)");
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "o" && row && hasRoom.matches) open(row);
  else if (event.key === "x" && row) row.querySelector("[name=output]")?.click();
  else return;
  event.preventDefault();
}

// A live list asks every two seconds, but for as long as somebody reads; what nobody scrolls to is let go of.
const MOST_LIVE = 200;

function isRead() {
  return document.hidden || scrollY > 240 || !side.hidden || list.querySelector("[name=output]:checked") !== null
    || document.querySelector("details.menu[open]") !== null;
}

function showPaused(isPaused) {
  const live = document.querySelector("#live");
  live.querySelector("[data-live-on]").hidden = isPaused;
  live.querySelector("[data-live-off]").hidden = !isPaused;
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.id !== "live") return;
  const isPaused = isRead();
  showPaused(isPaused);
  if (isPaused) event.preventDefault();
});
document.addEventListener("htmx:oobAfterSwap", () => {
  if (!document.querySelector("#live")) return;
  for (const row of rows().slice(MOST_LIVE)) row.remove();
});
for (const link of document.querySelectorAll("[data-live-reload]")) link.hidden = true;
document.addEventListener("htmx:load", ({ detail }) => {
  const link = detail.elt.querySelector?.("[data-live-reload]");
  if (link) link.hidden = true;
});

// The span that is open in a trace.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".tree--wide a[hx-get]");
  if (!link) return;
  for (const other of document.querySelectorAll(".tree--wide [aria-current]")) other.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
});

if (list && side) {
  list.addEventListener("click", (event) => {
    const link = event.target.closest(".input-cell a");
    const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    // A key press on a link is a click without a pointer: it opens the page.
    if (!link || !hasRoom.matches || !isPlain || event.detail === 0) return;
    event.preventDefault();
    open(link.closest("tr"));
  });
  side.addEventListener("click", (event) => {
    if (event.target.closest("[data-close-side]")) close();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[name=output]")) choose();
  });
  document.addEventListener("keydown", (event) => {
    if (mayAct(event)) act(event);
  });
  choose();
}
