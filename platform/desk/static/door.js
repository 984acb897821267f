// Signing in anew, in another tab, gives the browser a new CSRF token: forms that stand open take it when they are sent.

function token() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
}

document.addEventListener("submit", ({ target }) => {
  const field = target.querySelector?.("input[name=csrfmiddlewaretoken]");
  if (field && token()) field.value = token();
}, true);

document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (!token()) return;
  detail.headers["X-CSRFToken"] = token();
  if (detail.parameters.has("csrfmiddlewaretoken")) detail.parameters.set("csrfmiddlewaretoken", token());
});
