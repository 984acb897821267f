// What visitors of a public page think of an answer: thumbs, a comment, an edited text. For pages of others, as a classic
// script without dependencies, styles or inline handlers. Each element with data-ratchet-feedback becomes a small form:
//
//   data-door          the token of a feedback door (it writes, and reads nothing)
//   data-output        the id of the output; data-output-token where the door asks that your server vouches for it
//   data-kinds         thumb comment edit: what is offered
//   data-edit          a selector of the element that holds the answer, for the visitor to mend
//   data-user          your id of the visitor, if you want it kept
//   data-words-…       other words: question, up, down, comment, edit, send, thanks, failed
(function () {
  "use strict";

  var script = document.currentScript;
  var address = new URL("../api/v1/feedback", script ? script.src : location.href).href;
  var WORDS = {
    question: "Was this answer good?",
    up: "Yes",
    down: "No",
    comment: "What should we know?",
    edit: "How should it read?",
    send: "Send",
    thanks: "Thank you.",
    failed: "That did not arrive. Please try again."
  };
  var count = 0;

  function element(name, attributes, text) {
    var made = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    if (text) made.textContent = text;
    return made;
  }

  function newId() {
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.prototype.map.call(bytes, function (byte) { return ("0" + byte.toString(16)).slice(-2); }).join("");
  }

  function Feedback(home) {
    this.home = home;
    this.number = ++count;
    this.kinds = (home.dataset.kinds || "thumb comment").split(/\s+/);
    home.classList.add("ratchet-feedback");
    home.setAttribute("role", "group");
    home.setAttribute("aria-label", this.word("question"));
    this.said = element("p", { role: "status", "class": "ratchet-feedback-said" });
    if (this.has("thumb")) this.addThumbs();
    if (this.has("comment")) this.addText("comment", "");
    if (this.has("edit")) this.addText("edit", this.answer());
    home.append(this.said);
  }

  Feedback.prototype = {
    has: function (kind) { return this.kinds.indexOf(kind) >= 0; },

    word: function (name) {
      return this.home.dataset["words" + name[0].toUpperCase() + name.slice(1)] || WORDS[name];
    },

    answer: function () {
      var shown = this.home.dataset.edit ? document.querySelector(this.home.dataset.edit) : null;
      return shown ? shown.innerText : "";
    },

    addThumbs: function () {
      var self = this;
      var row = element("div", { "class": "ratchet-feedback-thumbs" });
      row.append(element("span", {}, this.word("question")));
      ["up", "down"].forEach(function (way) {
        var button = element("button", { type: "button", "aria-pressed": "false", "data-way": way }, self.word(way));
        button.addEventListener("click", function () { self.thumb(button, row); });
        row.append(button);
      });
      this.home.append(row);
    },

    thumb: function (button, row) {
      this.send({ kind: "thumb", value: button.dataset.way === "up" ? 1 : -1 }, row, function () {
        row.querySelectorAll("button").forEach(function (one) {
          one.setAttribute("aria-pressed", String(one === button));
        });
      });
    },

    addText: function (kind, text) {
      var self = this;
      var id = "ratchet-feedback-" + kind + "-" + this.number;
      var form = element("form", { "class": "ratchet-feedback-" + kind });
      var field = element("textarea", { id: id, rows: "3", required: "", maxlength: "6000" });
      field.value = text;
      form.append(element("label", { "for": id }, this.word(kind)), field);
      form.append(element("button", { type: "submit" }, this.word("send")));
      form.addEventListener("submit", function (event) {
        event.preventDefault();
        if (!field.value.trim() || (kind === "edit" && field.value === text)) return;
        self.send({ kind: kind, comment: field.value }, form, function () {
          if (kind === "comment") field.value = "";
          else text = field.value;
        });
      });
      this.home.append(form);
    },

    // The same words keep their id until they arrived, so that a second try adds nothing.
    send: function (said, part, done) {
      var self = this;
      var key = JSON.stringify(said);
      if (this.sending) return;
      if (!this.pending || this.pending.key !== key) this.pending = { key: key, id: newId() };
      var row = Object.assign({ id: this.pending.id, output_id: this.home.dataset.output }, said);
      if (this.home.dataset.outputToken) row.output_token = this.home.dataset.outputToken;
      if (this.home.dataset.user) row.user_id = this.home.dataset.user;
      this.sending = true;
      fetch(address, {
        method: "POST",
        credentials: "omit",
        headers: { "Authorization": "Bearer " + this.home.dataset.door, "Content-Type": "application/json" },
        body: JSON.stringify(row)
      }).then(function (answer) {
        if (!answer.ok) throw new Error("feedback was refused with status " + answer.status);
        self.pending = null;
        self.said.textContent = self.word("thanks");
        done();
      }).catch(function (error) {
        console.warn("Feedback did not arrive:", error.message);
        self.said.textContent = self.word("failed");
      }).finally(function () { self.sending = false; });
    }
  };

  function start() {
    document.querySelectorAll("[data-ratchet-feedback]:not(.ratchet-feedback)").forEach(function (home) {
      new Feedback(home);
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
  // For pages that draw answers later.
  window.ratchetFeedback = start;
})();
