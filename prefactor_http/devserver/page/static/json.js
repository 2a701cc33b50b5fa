// JSON as a tree that folds. Branches are built when they are opened.

import { Exact } from "/assets/api.js";
import { button, el } from "/assets/dom.js";

const OPEN_DEPTH = 3;
const MOST_OPEN = 30;
const MOST_CHILDREN = 100;
const LONGEST_TEXT = 1200;
const LONGEST_LINE = 90;
const MOST_EXPANDED = 2000;

const isBranch = (value) => value !== null && typeof value === "object" && !(value instanceof Exact);

/** Say whether `value` is a wrapped sensitive value. */
export const isSensitive = (value) =>
  isBranch(value) && typeof value.$sensitive === "string" && "value" in value;

/** Return `value` as a tree; `reveal` shows hidden values, `depth` says how far it is open. */
export function jsonTree(value, { reveal = null, depth = OPEN_DEPTH } = {}) {
  const root = el("div", { class: "json" });
  if (isBranch(value) && !isSensitive(value)) {
    if (entriesOf(value).length === 0) root.append(el("span", { class: "muted", text: emptyOf(value) }));
    else fillBranch(root, value, { reveal, depth: depth - 1 });
  } else {
    root.append(leaf(value, { reveal, depth }));
  }
  return root;
}

/** Open everything in `root`, as far as that is reasonable, or close everything. */
export function unfold(root, open) {
  let left = MOST_EXPANDED;
  const walk = (node) => {
    for (const branch of node.querySelectorAll("details")) {
      if (open && left <= 0) return;
      if (branch.open !== open) {
        left -= 1;
        branch.fill?.();
        branch.open = open;
        if (open) walk(branch);
      }
    }
  };
  walk(root);
}

function entriesOf(value) {
  return Array.isArray(value) ? value.map((part, index) => [index, part]) : Object.entries(value);
}

const emptyOf = (value) => (Array.isArray(value) ? "[ ] empty" : "{ } empty");

function fillBranch(node, value, options) {
  const entries = entriesOf(value);
  const list = el("ul");
  const append = (from) => {
    for (const [key, part] of entries.slice(from, from + MOST_CHILDREN)) list.append(entry(key, part, options));
    const rest = entries.length - from - MOST_CHILDREN;
    if (rest <= 0) return;
    const more = el("li", {}, button(`${rest} more`, () => {
      more.remove();
      append(from + MOST_CHILDREN);
    }, { class: "quiet small" }));
    list.append(more);
  };
  append(0);
  node.append(list);
}

function entry(key, value, options) {
  const label = el("span", { class: typeof key === "number" ? "index" : "key", text: String(key) });
  if (isBranch(value) && !isSensitive(value) && entriesOf(value).length) {
    return el("li", {}, branch(label, value, options));
  }
  const shown = isBranch(value) && !isSensitive(value)
    ? el("span", { class: "muted", text: emptyOf(value) })
    : leaf(value, options);
  return el("li", {}, label, el("span", { class: "colon", text: ": " }), shown);
}

function branch(label, value, options) {
  const size = entriesOf(value).length;
  const node = el("details", {}, el("summary", {}, label, el("span", { class: "peek", text: peek(value, size) })));
  node.fill = () => {
    if (node.childElementCount > 1) return;
    fillBranch(node, value, { ...options, depth: options.depth - 1 });
  };
  node.addEventListener("toggle", () => node.fill());
  if (options.depth > 0 && size <= MOST_OPEN) {
    node.fill();
    node.open = true;
  }
  return node;
}

/** Return a branch's beginning in one line. */
function peek(value, size) {
  const noun = Array.isArray(value) ? ["item", "items"] : ["key", "keys"];
  const names = Array.isArray(value) ? [] : Object.keys(value).slice(0, 4);
  const begin = names.length ? `{ ${names.join(", ")}${size > 4 ? ", …" : ""} }` : "";
  return `${begin} ${size} ${noun[size === 1 ? 0 : 1]}`.trim();
}

function leaf(value, options) {
  if (isSensitive(value)) return sensitive(value, options);
  if (value instanceof Exact) return el("span", { class: "number", text: value.source });
  if (typeof value === "string") return text(value, options);
  return el("span", { class: value === null ? "null" : typeof value, text: String(value) });
}

/** A value that was marked: its kind, and a button that shows it. */
function sensitive(wrapped, options) {
  const node = el("span", { class: "sensitive" });
  const show = () => node.replaceChildren(
    el("span", { class: "badge", text: `sensitive ${wrapped.$sensitive}` }), " ",
    isBranch(wrapped.value) && !isSensitive(wrapped.value)
      ? jsonTree(wrapped.value, { ...options, depth: 1 })
      : leaf(wrapped.value, options));
  if (options.reveal === "shown") {
    show();
  } else {
    node.append(
      el("span", { class: "badge", text: `sensitive ${wrapped.$sensitive}` }), " ",
      el("span", { class: "veil", text: "hidden", title: "This value was marked as sensitive" }), " ",
      button("Show", options.reveal ?? show, { class: "quiet small" }));
  }
  return node;
}

/** Text: in its line if it is short, as a block otherwise; JSON in a text can be read as such. */
function text(value, options) {
  const parsed = parse(value);
  if (parsed !== undefined) {
    return branch(el("span", { class: "badge", text: "JSON in a text" }), parsed, { ...options, depth: options.depth - 1 });
  }
  if (value.length <= LONGEST_LINE && !value.includes("\n")) {
    return el("span", { class: "string", text: value === "" ? "\u201c\u201d" : value });
  }
  return longText(value, "string block");
}

/** Return a text that is cut until its rest is asked for. */
export function longText(value, kind) {
  const node = el("span", { class: kind, text: value.slice(0, LONGEST_TEXT) });
  const rest = value.length - LONGEST_TEXT;
  if (rest <= 0) return node;
  const box = el("span", { class: "clipped" }, node);
  const more = button(`Show ${rest} more characters`, () => {
    node.textContent = value;
    more.remove();
  }, { class: "quiet small" });
  box.append(more);
  return box;
}

/** Return what a text holds if that is a JSON object or list with something in it. */
export function parse(value) {
  if (!/^\s*[[{]/.test(value)) return undefined;
  try {
    const parsed = JSON.parse(value);
    return isBranch(parsed) && entriesOf(parsed).length ? parsed : undefined;
  } catch {
    return undefined;
  }
}
