// The review page beyond HTML: keys, drafts that save themselves, the countdown, and the next item before it is asked
// for. Whatever happens to the server, the session or the lease, what was typed stays: here, in this browser, and as a
// draft. Without this script the page works by its forms.

import { mayAct } from "./keys.js";

const SAVE_MS = 800;
const BEAT_MS = 60_000;
const ACTIVE_MS = 90_000;
const AHEAD_MS = 45_000;
const RETRY_MS = 5_000;
const LONGEST_SHOWN = 300;

const desk = document.querySelector("#desk");
const clocks = new WeakMap();
const settled = new WeakSet(); // parts whose text is handed in or given up: nothing of them is kept any more
const edited = new WeakMap(); // when something was last typed into a part, here
const ours = new WeakMap(); // what this tab kept of a part, or took over: another tab may have kept something else
const offered = new WeakSet(); // parts that show what another tab kept
let work = desk.querySelector(".work");
let next = null;
let submitting = null;
let saving = null;
let saveTimer = 0;
let skipping = false;
let path = location.pathname;
let lastActive = performance.now();

// Requests ---------------------------------------------------------------------------------------------------------

function token() {
  const found = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  return found ? decodeURIComponent(found[1]) : (document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "");
}

/** POST as the page's own forms do; the token is the newest one, for somebody may have signed in again elsewhere. */
async function post(url, body = new FormData()) {
  body.delete("csrfmiddlewaretoken");
  const headers = { "HX-Request": "true", "X-CSRFToken": token() };
  const answer = await fetch(url, { method: "POST", body, headers, credentials: "same-origin", redirect: "manual" });
  if (answer.status === 401 || answer.status === 403 || answer.type === "opaqueredirect") throw new SignedOut();
  return answer;
}

class SignedOut extends Error {}

/** What was sent is at fault, so that sending it again is of no use. */
class Refused extends Error {}

/** Somebody who has done anything of late is still at it. */
const isActive = () => !document.hidden && performance.now() - lastActive < ACTIVE_MS;
const noteActive = () => (lastActive = performance.now());

function parsed(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// What is typed ----------------------------------------------------------------------------------------------------

const formOf = (part) => part.querySelector("form.rubric");

function typedIn(part) {
  const form = formOf(part);
  if (!form) return [];
  const fixed = new Set(["csrfmiddlewaretoken", "lease", "rubric_version"]);
  return [...new FormData(form)].filter(([name, value]) => !fixed.has(name) && value !== "");
}

function keep(key, kept) {
  try {
    if (kept) localStorage.setItem(key, JSON.stringify(kept));
    else localStorage.removeItem(key);
  } catch {
    // Storage may be full or forbidden; the draft on the server is the other copy.
  }
}

function keptAt(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** At once, so that not even a crash of the browser loses a word. */
function mirror(part = work, at = Date.now()) {
  if (settled.has(part)) return;
  const typed = typedIn(part);
  ours.set(part, JSON.stringify(typed));
  keep(part.dataset.kept, { at, typed });
}

/** Once more on leaving; a tab that was left alone says nothing over what was typed later in another one. */
function mirrorLast() {
  const at = edited.get(work);
  if (!at || !formOf(work) || (keptAt(work.dataset.kept)?.at ?? 0) >= at || typedIn(work).length === 0) return;
  mirror(work, at);
}

/** What was handed in or given up here goes; what another tab kept of the item stays. */
function forget(part) {
  settled.add(part);
  const kept = keptAt(part.dataset.kept);
  if (kept && JSON.stringify(kept.typed) === ours.get(part)) keep(part.dataset.kept, null);
  if (offered.has(part)) keep(otherOf(part), null);
}

function fill(part, typed) {
  for (const field of formOf(part).elements) {
    if (!field.name || ["hidden", "submit", "button"].includes(field.type) || field.name === "reason") continue;
    const values = typed.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.type === "radio" || field.type === "checkbox") field.checked = values.includes(field.value);
    else field.value = values[0] ?? "";
  }
}

/** Where words wait that were typed besides the draft, until somebody uses or drops them. */
const otherOf = (part) => `${part.dataset.kept}/other`;

/** What `typed` says that does not stand in the form; blanks around it say nothing. */
function notIn(part, typed) {
  const known = new Set(typedIn(part).map(([name, value]) => JSON.stringify([name, value.trim()])));
  return typed.filter(([name, value]) => value.trim() && !known.has(JSON.stringify([name, value.trim()])));
}

/** What this browser kept comes back where it is newer than the server's draft; where it is older, it is offered. */
function restore(part) {
  const kept = keptAt(part.dataset.kept);
  if (kept?.typed.length) {
    const isNewer = kept.at >= Number(part.dataset.saved || 0) * 1000;
    if (JSON.stringify(kept.typed) === JSON.stringify(typedIn(part))) ours.set(part, JSON.stringify(kept.typed));
    else if (isNewer) takeOver(part, kept, `What you typed at ${hour(new Date(kept.at))} is here again.`);
    else if (notIn(part, kept.typed).length) {
      keep(otherOf(part), kept);
      keep(part.dataset.kept, null);
    }
  }
  const other = keptAt(otherOf(part));
  if (other) offer(part, other);
}

function takeOver(part, kept, said) {
  fill(part, kept.typed);
  ours.set(part, JSON.stringify(kept.typed));
  tell(part, "note", said);
  scheduleSave(part);
}

function offer(part, kept) {
  const words = notIn(part, kept.typed).map(([, value]) => value.trim()).join(" · ");
  if (!words) return keep(otherOf(part), null);
  offered.add(part);
  const shown = words.length > LONGEST_SHOWN ? `${words.slice(0, LONGEST_SHOWN)}…` : words;
  tell(part, "other", `Another tab kept this text at ${hour(new Date(kept.at))}: “${shown}”`);
  const settle = (text, act) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn", textContent: text });
    button.addEventListener("click", () => {
      keep(otherOf(part), null);
      tell(part, "other", "");
      act();
    });
    return button;
  };
  const use = settle("Use it", () => {
    takeOver(part, kept, "");
    showConditions(part);
    mirror(part);
  });
  part.querySelector('.notes [data-kind="other"]').append(use, settle("Drop it", () => {}));
}

const hour = (moment) => moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

// Notes ------------------------------------------------------------------------------------------------------------

/** One note of a kind above the item; an empty text takes it away. */
function tell(part, kind, text, link) {
  const notes = part.querySelector(".notes");
  let note = notes.querySelector(`[data-kind="${kind}"]`);
  if (!text) return note?.remove();
  if (!note) {
    note = Object.assign(document.createElement("p"), { className: kind === "note" ? "note" : "note note--warn" });
    note.dataset.kind = kind;
    notes.append(note);
  }
  const words = Object.assign(document.createElement("span"), { textContent: text });
  note.replaceChildren(words);
  if (link) words.append(" ", Object.assign(document.createElement("a"), { ...link, target: "_blank", rel: "noopener" }));
}

function tellSignedOut(part) {
  const link = { href: `${desk.dataset.login}?next=${encodeURIComponent("/signed-in/")}`, textContent: "Sign in again in a new tab" };
  tell(part, "door", "Your session has ended. Your text is kept, here and in this browser.", link);
}

// Drafts -----------------------------------------------------------------------------------------------------------

function scheduleSave(part = work, after = SAVE_MS) {
  clearTimeout(saveTimer);
  saveTimer = setTimeout(() => save(part), after);
}

/** What the server's page says is wrong, in one line. */
function wrongIn(said) {
  const wrong = [...said.querySelectorAll(".field__error")].map((error) => {
    const label = error.closest(".question, .field")?.querySelector("label, legend")?.firstChild?.textContent.trim();
    return label ? `${label}: ${error.textContent}` : error.textContent;
  });
  wrong.push(...[...said.querySelectorAll("[data-flaw], .problem > p:first-of-type")].map((one) => one.textContent));
  return wrong.length ? `${wrong.join(". ")}.` : "the server does not take it.";
}

async function save(part) {
  const form = formOf(part);
  const before = saving;
  // A field that leaves the page with its item may still say that it changed.
  if (!form || submitting || part !== work) return;
  saving = (async () => {
    await before;
    try {
      const answer = await post(part.dataset.draft, new FormData(form));
      const said = parsed(await answer.text());
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) throw new Refused(wrongIn(said));
      if (!answer.ok) throw new Error(String(answer.status));
      part.querySelector(".saved").replaceWith(said.querySelector(".saved"));
      if (said.querySelector(".difference")) part.querySelector(".difference")?.replaceWith(said.querySelector(".difference"));
      part.dataset.saved = Math.floor(Date.now() / 1000);
      tell(part, "door", "");
      tell(part, "away", "");
      tell(part, "refused", "");
    } catch (error) {
      if (error instanceof Refused) {
        tell(part, "away", "");
        return tell(part, "refused", `This is not saved: ${error.message} Your text is kept in this browser.`);
      }
      if (error instanceof SignedOut) tellSignedOut(part);
      else tell(part, "away", "The server cannot be reached, so this is not saved there yet. Your text is kept in this browser.");
      if (part === work) scheduleSave(part, RETRY_MS);
    }
  })();
  await saving;
}

// The lease --------------------------------------------------------------------------------------------------------

function wind(part, seconds) {
  const lease = part.querySelector(".lease");
  if (lease) clocks.set(part, { end: performance.now() + 1000 * seconds, length: Number(lease.dataset.length) });
  tick();
}

function tick() {
  const clock = clocks.get(work);
  if (!clock || !["held", "lapsed"].includes(work.dataset.standing)) return;
  const left = Math.max(0, Math.round((clock.end - performance.now()) / 1000));
  const yours = work.querySelector(".yours");
  if (yours) {
    const time = Object.assign(document.createElement("strong"), {
      className: "lease-left",
      textContent: `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`,
    });
    yours.replaceChildren("Yours for ", time);
    yours.classList.toggle("due-soon", left < 60);
  }
  const bar = work.querySelector(".lease progress");
  if (bar) bar.value = left;
}

async function beat() {
  const part = work;
  if (!isActive() || !formOf(part) || !["held", "lapsed"].includes(part.dataset.standing)) return;
  try {
    const answer = await post(part.dataset.heartbeat);
    const said = parsed(await answer.text());
    if (answer.ok) {
      part.querySelector(".lease").replaceWith(said.querySelector(".lease"));
      part.dataset.standing = "held";
      wind(part, Number(part.querySelector(".lease").dataset.left));
      tell(part, "lost", "");
    } else if (answer.status === 409) {
      tell(part, "lost", `${said.querySelector("p")?.textContent ?? ""} What you typed is kept as a draft.`);
    }
  } catch (error) {
    if (error instanceof SignedOut) tellSignedOut(part);
  }
}

// The next item, before it is asked for ----------------------------------------------------------------------------

/** Once it is known what comes after the item on the page, the desk says so in `data-ahead-ready`. */
async function lookAhead() {
  if (!isActive() || submitting || !formOf(work)) return;
  const part = work;
  const body = new FormData();
  body.set("here", part.dataset.item);
  if (next) body.set("have", next.dataset.item);
  try {
    const answer = await post(desk.dataset.ahead, body);
    const said = parsed(await answer.text());
    if (submitting || part !== work) return;
    if (answer.status === 200) next = document.adoptNode(said.querySelector(".work"));
    else if (answer.status === 204 && !answer.headers.get("Ratchet-Item")) next = null;
    tellAhead();
  } catch {
    // Only a convenience: the next item comes with the answer to the submission.
  }
}

function tellAhead() {
  desk.dataset.aheadReady = next?.dataset.item ?? "";
  const said = desk.querySelector("#ahead-said");
  if (said && next) said.textContent = "The next item is ready";
}

function goTo(url, { replaces = false } = {}) {
  history[replaces ? "replaceState" : "pushState"]({}, "", url);
  path = location.pathname;
}

function show(part) {
  work.replaceWith(part);
  work = part;
  document.title = `${part.querySelector("h1")?.textContent ?? "Review"} · Ratchet`;
  arm(part);
}

// Submitting -------------------------------------------------------------------------------------------------------

async function submit() {
  if (submitting) await submitting;
  const form = formOf(work);
  if (!form || !["held", "lapsed"].includes(work.dataset.standing) || !form.reportValidity()) return;
  submitting = handIn(work, form);
  await submitting;
  submitting = null;
  lookAhead();
}

async function handIn(part, form) {
  clearTimeout(saveTimer);
  const fix = part.querySelector(".fix");
  if (fix && fix.value.trim() === outputOf(part).trim()) fix.value = "";
  mirror(part);
  const body = asked(part);
  const shownAhead = next;
  next = null;
  delete desk.dataset.aheadReady;
  if (shownAhead) {
    body.set("ahead", shownAhead.dataset.item);
    goTo(shownAhead.dataset.url);
    show(shownAhead);
  } else {
    form.setAttribute("aria-busy", "true");
  }
  try {
    await saving;
    await taken(part, shownAhead, await post(form.action, body));
  } catch (error) {
    back(part, shownAhead);
    if (error instanceof SignedOut) tellSignedOut(part);
    else tell(part, "away", "The server could not be reached, so this was not handed in. Your text is kept; submit again.");
  }
  form.removeAttribute("aria-busy");
}

/** What is handed in: all that is typed but into fields that the answers leave unasked. */
function asked(part) {
  const body = new FormData(formOf(part));
  for (const hidden of part.querySelectorAll("[data-show-if][hidden]")) {
    for (const field of hidden.querySelectorAll("[name]")) body.delete(field.name);
  }
  return body;
}

/** The server's answer: on to the next item, or back to the former one with what is wrong. */
async function taken(part, shownAhead, answer) {
  if (answer.headers.get("HX-Redirect")) {
    forget(part);
    location.assign(answer.headers.get("HX-Redirect"));
    return;
  }
  const said = parsed(await answer.text());
  const whole = said.querySelector(".work");
  if (!answer.ok) {
    if (!whole) throw new Error(String(answer.status));
    back(part, shownAhead);
    const refused = document.adoptNode(whole);
    if (formOf(refused)) fill(refused, typedIn(part));
    show(refused);
    work.querySelector(".notes [role=alert], .field__error")?.scrollIntoView({ block: "nearest" });
    return;
  }
  forget(part);
  desk.querySelector(".rail").replaceWith(said.querySelector(".rail"));
  window.htmx?.process(desk.querySelector(".rail"));
  showToast(said.querySelector(".handed-in"));
  if (whole) {
    goTo(answer.headers.get("HX-Push-Url"), { replaces: Boolean(shownAhead) });
    show(document.adoptNode(whole));
    if (shownAhead) tell(work, "note", "Somebody else took the item that was shown; this is the next one.");
  } else {
    wind(work, clocks.get(work)?.length ?? 0);
  }
}

function back(part, shownAhead) {
  if (!shownAhead) return;
  goTo(part.dataset.url, { replaces: true });
  show(part);
}

function showToast(toast) {
  // What was said about the item before is past, too: nothing of it covers the way back.
  const past = ".toast.handed-in, .toasts .toast--info, .toasts .toast--success";
  document.querySelectorAll(past).forEach((old) => old.remove());
  if (!toast) return;
  document.querySelector("#main > :last-child").before(toast);
  setTimeout(() => toast.remove(), 20_000);
}

/** Pass over the item; what was typed is given up once the server has said so, and not before. */
async function skipNow(form) {
  if (skipping) return;
  const part = work;
  skipping = true;
  clearTimeout(saveTimer);
  try {
    await saving;
    const answer = await post(form.action, new FormData(form));
    const onward = answer.headers.get("HX-Redirect");
    if (!onward) throw new Error(String(answer.status));
    if (answer.ok) forget(part);
    location.assign(onward);
  } catch (error) {
    if (error instanceof SignedOut) tellSignedOut(part);
    else tell(part, "away", "The server could not be reached, so this is not skipped. Your text is kept; skip it again.");
    if (edited.has(part)) scheduleSave(part, RETRY_MS);
  }
  skipping = false;
}

// Questions and keys -----------------------------------------------------------------------------------------------

const questions = () => [...work.querySelectorAll(".question")].filter((question) => !question.hidden);
const current = () => work.querySelector(".question.is-current");

function mark(question, { focus = true, scroll = true } = {}) {
  if (!question || question === current()) return;
  for (const other of work.querySelectorAll(".question.is-current")) {
    other.classList.remove("is-current");
    other.querySelector(".q-keys").hidden = true;
  }
  question.classList.add("is-current");
  question.querySelector(".q-keys").hidden = false;
  if (!focus) return;
  const choice =
    question.querySelector("input[type=radio]:checked") ?? question.querySelector("input[type=radio], input[type=checkbox]");
  const target = choice ?? question;
  if (target === question) question.tabIndex = -1;
  target.focus({ preventScroll: true });
  if (scroll) question.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const all = questions();
  mark(all[Math.min(all.length - 1, Math.max(0, all.indexOf(current()) + step))]);
}

function choose(number) {
  const chosen = current()?.querySelectorAll("input[type=radio], input[type=checkbox]")[number - 1];
  chosen?.click();
}

/** Hide what is not asked. What was typed there stays, as long as nothing is handed in; it says nothing meanwhile. */
function showConditions(part) {
  for (const question of part.querySelectorAll("[data-show-if]:not([data-show-if=''])")) {
    const wanted = JSON.parse(question.dataset.showIf);
    const fields = [...formOf(part).elements].filter((input) => input.name === wanted.field && !input.closest("[data-show-if][hidden]"));
    const said = fields.filter((input) => !["radio", "checkbox"].includes(input.type) || input.checked).map((input) => input.value);
    question.hidden = !said.some((value) => wanted.is.includes(value));
  }
}

const outputOf = (part) => (part.querySelector(".as-raw") ?? part.querySelector(".output .as-rendered"))?.textContent ?? "";

function correct() {
  const fix = work.querySelector(".fix");
  if (!fix || fix.closest("[hidden]")) return;
  if (!fix.value) fix.value = outputOf(work);
  fix.focus();
  fix.setSelectionRange(0, 0);
}

function toTags() {
  const tags = work.querySelector(".question[data-type=tags]:not([hidden])") ?? work.querySelector("[data-type=labels]");
  mark(tags);
  tags?.querySelector("input")?.focus();
}

function skip() {
  const menu = work.querySelector(".skipping");
  if (!menu) return;
  menu.open = true;
  menu.querySelector("input").focus();
}

const KEYS = {
  ArrowDown: () => move(1),
  j: () => move(1),
  ArrowUp: () => move(-1),
  k: () => move(-1),
  e: correct,
  t: toTags,
  s: skip,
  u: () => document.querySelector(".handed-in form, #undo")?.requestSubmit(),
  g: () => {
    const guideline = work.querySelector(".guideline");
    if (guideline) guideline.open = !guideline.open;
  },
  Enter: () => current()?.querySelector("textarea, input:not([type=radio], [type=checkbox]), select")?.focus(),
};

document.addEventListener("keydown", (event) => {
  noteActive();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (!event.repeat) submit();
    return;
  }
  if (event.key === "Escape" && event.target.matches?.("textarea, input, select")) {
    event.target.blur();
    return;
  }
  if (!mayAct(event) || event.shiftKey) return;
  if (event.key === "Enter" && event.target.closest?.("button, a, summary")) return;
  const act = /^[1-9]$/.test(event.key) ? () => choose(Number(event.key)) : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// Events -----------------------------------------------------------------------------------------------------------

function changed(event) {
  noteActive();
  if (!work.contains(event.target) || event.target.name === "reason" || event.target.name?.startsWith("as-")) return;
  showConditions(work);
  edited.set(work, Date.now());
  mirror();
  scheduleSave();
}

document.addEventListener("input", changed);
document.addEventListener("change", changed);
document.addEventListener("focusin", (event) => mark(event.target.closest?.(".question"), { focus: false }));
document.addEventListener("pointerdown", noteActive);
document.addEventListener("submit", (event) => {
  if (event.target.matches(".skip-form")) {
    event.preventDefault();
    skipNow(event.target);
    return;
  }
  if (event.target !== formOf(work) || event.submitter?.hasAttribute("formaction")) return;
  event.preventDefault();
  submit();
});
document.addEventListener(
  "click",
  (event) => {
    // The second click of a double click would hand in the item that came after the first.
    if (event.detail > 1 && event.target.closest?.("[data-submit]")) event.preventDefault();
  },
  true,
);
addEventListener("storage", (event) => {
  if (event.key !== work.dataset.kept || !event.newValue) return;
  tell(work, "tabs", "This item is open in another tab, too. What you type last is the draft; only one of the two can be handed in.");
});
// A link within the page is a step in the history, too.
addEventListener("popstate", () => location.pathname !== path && location.reload());
addEventListener("pageshow", (event) => event.persisted && location.reload());
addEventListener("pagehide", mirrorLast);

function arm(part) {
  if (!formOf(part)) return;
  part.querySelectorAll(".without-script").forEach((button) => (button.hidden = true));
  part.querySelectorAll(".asked-if").forEach((words) => (words.hidden = true));
  restore(part);
  showConditions(part);
  wind(part, Number(part.querySelector(".lease").dataset.left));
  mark(questions()[0], { scroll: false });
  part.querySelector(".item").scrollTop = 0;
}

desk.classList.add("has-keys");
arm(work);
if (formOf(work)) lookAhead();
setInterval(tick, 1000);
setInterval(beat, BEAT_MS);
setInterval(lookAhead, AHEAD_MS);
