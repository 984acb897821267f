// The palette: search the project or jump to a page, by keys alone.

const palette = document.querySelector("#palette");
const words = document.querySelector("#palette-words");
const pages = document.querySelector("#palette-pages");
const found = document.querySelector("#palette-found");

const offered = () => [...palette.querySelectorAll(".found a")].filter((link) => !link.hidden);

function markFirst() {
  const first = offered()[0];
  for (const link of palette.querySelectorAll(".found a")) link.classList.toggle("is-chosen", link === first);
}

function filterPages() {
  const wanted = words.value.trim().toLowerCase();
  for (const link of pages.children) link.hidden = !link.textContent.toLowerCase().includes(wanted);
  if (!wanted) found.replaceChildren();
  pages.hidden = [...pages.children].every((link) => link.hidden);
  markFirst();
}

function move(event) {
  if (event.key === "Escape" && !event.isComposing) {
    // A field for a search takes the first press for itself, to empty it.
    event.preventDefault();
    event.stopPropagation();
    palette.close();
    return;
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    const stops = [words, ...offered()];
    const here = stops.indexOf(document.activeElement);
    // The first link is chosen already while somebody types: down goes on from there.
    const from = here === 0 && step === 1 && stops.length > 2 ? 1 : here;
    stops[(from + step + stops.length) % stops.length].focus();
  } else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && document.activeElement !== words) {
    words.focus();
  }
}

/** Open the palette, empty, with every page of one's own on offer. */
export function openPalette() {
  if (!palette || palette.open) return;
  words.value = "";
  filterPages();
  palette.showModal();
  words.focus();
}

/** Wire the palette, where this page has one. */
export function startPalette() {
  if (!palette) return;
  words.addEventListener("input", filterPages);
  palette.addEventListener("keydown", move);
  palette.addEventListener("focusin", ({ target }) => {
    if (target === words) markFirst();
    else for (const link of palette.querySelectorAll(".found a")) link.classList.toggle("is-chosen", link === target);
  });
  palette.addEventListener("htmx:afterSwap", markFirst);
  palette.querySelector("form").addEventListener("submit", (event) => {
    const first = offered()[0];
    if (first) {
      event.preventDefault();
      first.click();
    }
  });
  palette.addEventListener("click", (event) => {
    if (event.target === palette) palette.close();
  });
}
