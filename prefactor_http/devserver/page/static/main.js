// Which view is shown, the keys that all share, and the news from the server.

import { watch } from "/assets/api.js";
import { showKeys } from "/assets/dialogs.js";
import { button, el, setText } from "/assets/dom.js";
import { RunView } from "/assets/run.js";
import { RunsView } from "/assets/runs.js";

const LIVE = { on: "Live", waiting: "Connecting", off: "Paused" };

const place = document.getElementById("view");
const crumbs = document.getElementById("crumbs");
const live = document.getElementById("live");
let view = null;
let list = null;

const app = {
  /** Go to another view. */
  go(path) {
    history.pushState({ listed: view === list }, "", path);
    show();
  },

  /** Leave a run for the list it was opened from, as that was left. */
  leave() {
    if (history.state?.listed) history.back();
    else app.go(list?.address ?? "/");
  },

  /** Begin the view again. */
  again() {
    show();
  },

  /** Have the address say what is shown. */
  replace(path) {
    history.replaceState(history.state, "", path);
  },

  title(text) {
    document.title = text;
  },

  crumbs(nodes) {
    crumbs.replaceChildren(...nodes.flatMap((node) => [el("span", { class: "slash", "aria-hidden": "true", text: "/" }), node]));
  },

  /** Say what went wrong, until it is closed. */
  problem(error) {
    document.querySelector(".toast")?.remove();
    const toast = el("div", { class: "toast", role: "alert" }, el("span", { text: error.message }),
      button("✕", () => toast.remove(), { class: "quiet", "aria-label": "Close" }));
    document.body.append(toast);
  },
};

function parts() {
  return location.pathname.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}

function show() {
  view?.close();
  const [root, run, span] = parts();
  const query = new URLSearchParams(location.search);
  if (root === "runs" && run) view = new RunView(app, run, span, query);
  else if (view !== list && list?.address === location.pathname + location.search) view = list;
  else view = list = new RunsView(app, query);
  place.replaceChildren(view.element);
  view.mount();
}

addEventListener("popstate", show);

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-link]");
  if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  app.go(link.getAttribute("href"));
});

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const { target } = event;
  const writing = target.matches("input, textarea, select");
  if (writing) {
    if (event.key !== "Escape") return;
    target.blur();
    if (target.value) view.key(event);
    view.home.focus();
    event.preventDefault();
    return;
  }
  const pressing = event.key === "Enter" || event.key === " ";
  if (pressing && target.matches("button, a, summary")) return;
  // Inside the panel the arrows scroll what is read.
  if (target.closest(".detail, .quality") && event.key !== "Escape" && event.key !== "/" && event.key !== "?") return;
  if (event.key === "/") view.find();
  else if (event.key === "?") showKeys();
  else if (!view.key(event)) return;
  event.preventDefault();
});

document.getElementById("help").addEventListener("click", showKeys);

watch(() => view.changed(), (state) => {
  live.dataset.state = state;
  setText(live, LIVE[state]);
});
show();
