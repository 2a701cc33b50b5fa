// The two dialogs: why a run is terminated, and which keys there are.

import { Refused, terminate } from "/assets/api.js";
import { button, el } from "/assets/dom.js";

function open(dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Ask for a reason and terminate `run`; `done` is called when the server has done it. */
export function askReason(run, done) {
  const reason = el("textarea", { id: "reason", rows: "3", maxlength: "2000", required: true });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const send = el("button", { type: "submit", class: "danger", text: "Terminate" });
  const form = el("form", {},
    el("h2", { text: "Terminate this run" }),
    el("p", { class: "muted", text: "The agent hears of it with its next request, together with the reason. A terminated run stays terminated." }),
    el("label", { for: "reason", text: "Reason" }), reason, problem,
    el("div", { class: "actions" }, button("Cancel", () => dialog.close()), send));
  const dialog = el("dialog", { "aria-label": "Terminate this run" }, form);
  reason.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    try {
      await terminate(run, reason.value.trim());
      dialog.close();
      done();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      problem.textContent = `Not terminated: ${error.message}`;
      problem.hidden = false;
      send.disabled = false;
    }
  });
  open(dialog);
}

const KEYS = [
  ["↑ ↓", "select a run or a span"],
  ["→ ←", "open or close a span; its first child, its parent; another tab"],
  ["Enter", "open the run; look at the span"],
  ["Home End", "first and last"],
  ["Page ↑ ↓", "a screenful"],
  ["/", "search"],
  ["+ − 0", "zoom in, zoom out, fit"],
  ["z", "zoom to the selected span"],
  ["Esc", "one step back: out of the search, the span, the run"],
  ["?", "this list"],
];

/** Show the keys. */
export function showKeys() {
  const list = el("dl", { class: "keys" });
  for (const [keys, meaning] of KEYS) {
    const names = keys.split(" ").map((key) => el("kbd", { text: key }));
    list.append(el("dt", {}, ...names), el("dd", { text: meaning }));
  }
  const dialog = el("dialog", { "aria-label": "Keys" }, el("h2", { text: "Keys" }), list,
    el("p", { class: "muted", text: "Drag on the time axis to zoom in. Ctrl and the wheel zoom, Shift and the wheel move." }),
    el("div", { class: "actions" }, button("Close", () => dialog.close(), { autofocus: true })));
  open(dialog);
}
