// A file of any size, sent in slices: a lost connection or a reload goes on where it stopped. Without this script the
// form sends the file by itself, as far as one request may reach.

const SLICE = 4 * 1024 * 1024;
const RETRY_MS = 3_000;
const MOST_RETRIES = 40;

const form = document.querySelector("#upload");
const shown = document.querySelector("#sending");
const said = document.querySelector("#said");
const bar = shown.querySelector("progress");

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function token() {
  const found = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  return found ? decodeURIComponent(found[1]) : form.querySelector("[name=csrfmiddlewaretoken]").value;
}

function headers() {
  return { "X-CSRFToken": token(), "Ratchet-Project": form.dataset.project };
}

/** What the site answers; a refusal is an error that says why. */
async function ask(url, options = {}) {
  const answer = await fetch(url, { ...options, headers: headers(), credentials: "same-origin" });
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const problem = new Error(told.detail ?? `The site answered ${answer.status}.`);
  problem.isFinal = answer.status < 500 && answer.status !== 408 && answer.status !== 429;
  problem.told = told;
  throw problem;
}

/** What this browser calls a file: the same one, chosen again, is known by it. */
const nameOf = (file) => `upload:${form.dataset.project}:${file.name}:${file.size}:${file.lastModified}`;

async function opened(file) {
  const known = localStorage.getItem(nameOf(file));
  if (known) {
    const found = await ask(`/api/v1/imports/${known}`).catch(() => null);
    if (found?.state === "uploading" && found.size === file.size) return found;
  }
  const asked = new URLSearchParams({ name: file.name, size: file.size, kind: form.elements.kind.value });
  const isJson = file.name.toLowerCase().endsWith(".json");
  if (form.elements.format.value || isJson) asked.set("format", form.elements.format.value || "langfuse");
  const made = await ask(`/api/v1/imports?${asked}`, { method: "POST", body: "" });
  localStorage.setItem(nameOf(file), made.id);
  return made;
}

function show(received, size, words) {
  shown.hidden = false;
  bar.value = size ? received / size : 0;
  said.textContent = words ?? `${Math.floor((100 * received) / size)} % of the file is sent.`;
}

async function send(file) {
  const found = await opened(file);
  let received = found.received_bytes;
  let n_failed = 0;
  while (received < file.size) {
    show(received, file.size);
    try {
      const body = file.slice(received, received + SLICE);
      const told = await ask(`/api/v1/imports/${found.id}/pieces/${received}`, { method: "PUT", body });
      received = told.received_bytes;
      n_failed = 0;
    } catch (problem) {
      if (Number.isInteger(problem.told?.received_bytes)) received = problem.told.received_bytes;
      else if (problem.isFinal || ++n_failed > MOST_RETRIES) throw problem;
      else {
        show(received, file.size, "The connection is lost; it goes on by itself.");
        await wait(RETRY_MS);
      }
    }
  }
  localStorage.removeItem(nameOf(file));
  location.assign(`${form.dataset.then}${found.id}/`);
}

form.addEventListener("submit", async (event) => {
  const [file] = form.elements.file.files;
  if (!file) return;
  event.preventDefault();
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    await send(file);
  } catch (problem) {
    show(0, file.size, problem.message);
    button.disabled = false;
  }
});
