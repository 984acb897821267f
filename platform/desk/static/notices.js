// What happened, said so that nobody misses it: toasts, failed requests, and a line while a request takes long.

const SLOW_MS = 400;

const region = document.querySelector(".toasts");
const problem = document.querySelector("#problem");

function button(words, onClick) {
  const made = Object.assign(document.createElement("button"), { className: "btn", type: "button", textContent: words });
  made.addEventListener("click", onClick);
  return made;
}

function dress(toast) {
  toast.append(button("Dismiss", () => toast.remove()));
  return toast;
}

/** Say something at the foot of the page; it stays until it is dismissed. */
export function say(words) {
  const toast = Object.assign(document.createElement("div"), { className: "toast" });
  toast.append(Object.assign(document.createElement("span"), { textContent: words }));
  region?.append(dress(toast));
}

/** Send the newest toast away; whether there was one. */
export function dismissNewest() {
  const newest = region?.lastElementChild;
  newest?.remove();
  return newest != null;
}

/** Show what went wrong above the page, which stays as it is; `again` is offered as a button. */
export function complain(what, advice, again) {
  const note = Object.assign(document.createElement("section"), { className: "problem note note--bad" });
  note.setAttribute("role", "alert");
  note.append(
    Object.assign(document.createElement("h2"), { className: "problem__what", textContent: what }),
    Object.assign(document.createElement("p"), { textContent: advice }),
  );
  if (again) {
    const row = Object.assign(document.createElement("p"), { className: "row" });
    row.append(button("Try again", again));
    note.append(row);
  }
  problem.replaceChildren(note);
}

function sendAgain({ verb, path, elt, triggeringEvent }) {
  problem.replaceChildren();
  window.htmx.ajax(verb, path, { source: elt, event: triggeringEvent });
}

/** Whether somebody did something for this request; what the page asks by itself, again and again, fails in silence. */
function isWanted({ requestConfig }) {
  return Boolean(requestConfig?.triggeringEvent);
}

function announceLoadedToasts() {
  // A live region tells only what comes after it: so the server's own toasts come once more.
  const toasts = [...region.children].map(dress);
  region.replaceChildren();
  setTimeout(() => region.append(...toasts), 100);
}

function watchRequests() {
  const waiting = Object.assign(document.createElement("div"), { className: "waiting", hidden: true });
  document.body.append(waiting);
  const timers = new Map();
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (isWanted(detail)) timers.set(detail.xhr, setTimeout(() => (waiting.hidden = false), SLOW_MS));
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    clearTimeout(timers.get(detail.xhr));
    timers.delete(detail.xhr);
    waiting.hidden = timers.size === 0 || waiting.hidden;
    if (detail.successful && isWanted(detail)) problem.replaceChildren();
  });
}

function watchFailures() {
  const kept = "What you typed still stands here, and is not stored yet.";
  const offer = (name, what, advice) =>
    document.addEventListener(name, ({ detail }) => {
      if (isWanted(detail)) complain(what, advice, () => sendAgain(detail.requestConfig));
    });
  offer("htmx:sendError", "The server could not be reached.", `${kept} Check the connection.`);
  offer(
    "htmx:timeout",
    "The server did not answer in time.",
    "What you sent may have been stored all the same: look in another tab before you send it again.",
  );
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { status, responseText } = detail.xhr;
    const text = responseText.trimStart();
    if (status === 422 && text.startsWith('<section class="problem')) {
      // A refusal as a whole is no field's: the form must stay.
      Object.assign(detail, { target: problem, swapOverride: "innerHTML", selectOverride: "unset" });
    }
    if (status >= 400 && /^<(!doctype|html)/i.test(text)) {
      detail.shouldSwap = false;
      if (!isWanted(detail)) return;
      if (status === 404) complain("This is not here any more.", "Reload the page to see what is.");
      else complain(`The server answered with an error (${status}).`, kept, () => sendAgain(detail.requestConfig));
    }
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target === problem) problem.scrollIntoView({ block: "nearest" });
  });
}

/** Wire the notices of this page. */
export function startNotices() {
  if (region) announceLoadedToasts();
  if (problem) {
    watchRequests();
    watchFailures();
  }
  // A view may say something by `HX-Trigger: {"toast": "Saved."}`.
  document.body.addEventListener("toast", ({ detail }) => say(detail.value ?? ""));
}
