// Single keys: off while somebody types, and for whoever turned them off in their settings.

const FIELDS = "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable]";

/** Whether a key pressed here is meant for a field and not for the page. */
export function isTyping(event) {
  return event.isComposing || (event.target instanceof Element && event.target.closest(FIELDS) !== null);
}

/** Whether a key alone may do something now: nobody types, no dialog is open, no modifier is held, keys are on. */
export function mayAct(event) {
  return (
    document.documentElement.dataset.singleKeys !== "off" &&
    !event.defaultPrevented &&
    !(event.ctrlKey || event.metaKey || event.altKey) &&
    !isTyping(event) &&
    document.querySelector("dialog[open]") === null
  );
}

/** Put the focus into the page's own search field, if it has one. */
export function focusSearch() {
  const field = [...document.querySelectorAll("main input[type=search]")].find((input) => input.checkVisibility());
  field?.focus();
  field?.select();
  return field !== undefined;
}
