// The selected span: its facts at once, its payloads when they have come.

import { askSpan } from "/assets/api.js";
import { chat, conversation } from "/assets/chat.js";
import { button, copyButton, el } from "/assets/dom.js";
import { duration, exactly } from "/assets/format.js";
import { jsonTree, unfold } from "/assets/json.js";

const PATIENCE = 60;

export class Detail {
  /** @param close Called by the button that closes the panel. */
  constructor(close) {
    this.body = el("div", { class: "detail-body" });
    this.element = el("aside", { class: "detail", "aria-label": "Selected span", tabindex: "-1" },
      button("✕", close, { class: "quiet close", "aria-label": "Close the span", title: "Close (Esc)" }), this.body);
    this.span = null;
    this.abort = null;
    this.timer = null;
    this.failed = false;
    this.clear();
  }

  clear() {
    this.stop();
    this.failed = false;
    this.span = null;
    this.body.replaceChildren(el("div", { class: "empty" },
      el("p", { text: "Select a span to see what went in and what came out." }),
      el("p", { class: "muted" }, el("kbd", { text: "↓" }), " the first one, ", el("kbd", { text: "/" }),
        " search, ", el("kbd", { text: "?" }), " all keys")));
  }

  stop() {
    this.abort?.abort();
    clearTimeout(this.timer);
  }

  /** Show a span; `title` is its type's. One that is shown already stays as it was folded, unless it `changed`. */
  show(span, title, origin, changed = false) {
    const other = span !== this.span;
    if (!other && !changed) return;
    this.span = span;
    this.origin = origin;
    if (other) {
      this.stop();
      this.reveal = false;
      this.body.replaceChildren(this.head(span, title), el("p", { class: "muted loading", text: "Loading…" }));
      this.element.scrollTop = 0;
    }
    this.stop();
    this.timer = setTimeout(() => this.load(), other ? PATIENCE : 0);
  }

  /** Load what could not be loaded. */
  retry() {
    if (this.failed) this.load();
  }

  async load() {
    const span = this.span;
    this.failed = false;
    this.abort = new AbortController();
    try {
      this.fill(span, await askSpan(span.id, this.reveal, this.abort.signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.failed = true;
      this.body.querySelector(".loading, .problem")?.remove();
      this.body.append(el("p", { class: "problem", role: "alert", text: `Cannot show this span: ${error.message}` }));
    }
  }

  head(span, title) {
    const end = span.end;
    const since = this.origin !== null && span.start !== null ? `, ${duration(span.start - this.origin)} into the run` : "";
    const took = span.start !== null && end !== null ? duration(end - span.start) : span.start === null ? "not started" : "running";
    return el("header", {},
      el("h2", {}, el("span", { class: "title", text: title }), " ",
        el("span", { class: "pill", text: span.status, data: { status: span.status } })),
      el("p", { class: "muted facts" },
        title === span.name ? null : el("code", { text: span.name }),
        el("span", { class: "num", text: took }),
        span.start === null ? null : el("span", { class: "num", text: exactly(span.start) + since })));
  }

  fill(span, full) {
    this.full = full;
    const reveal = full.sensitive && full.hidden ? () => this.toggleReveal() : full.sensitive ? "shown" : null;
    const scroll = this.element.scrollTop;
    const parts = [this.head(span, full.title)];
    if (full.summary) parts.push(el("p", { class: "lead", text: full.summary }));
    if (full.mismatch) parts.push(this.mismatch(full.mismatch));
    if (full.sensitive) parts.push(this.sensitive(full.hidden));
    const messages = conversation(full.payload, full.result_payload);
    if (messages) {
      parts.push(this.section("Conversation", chat(messages, { reveal }), { folded: false }));
    }
    parts.push(this.json("Payload", full.payload, { reveal, folded: messages !== null }));
    if (full.result_payload !== null) {
      parts.push(this.json("Result", full.result_payload, { reveal, folded: messages !== null }));
    } else if (span.status === "active") {
      parts.push(el("p", { class: "muted", text: "No result yet." }));
    }
    parts.push(this.facts(full));
    this.body.replaceChildren(...parts);
    this.element.scrollTop = scroll;
  }

  mismatch(problems) {
    const list = el("ul");
    for (const [where, what] of Object.entries(problems)) {
      list.append(el("li", {}, el("code", { text: where }), ` ${what}`));
    }
    return el("div", { class: "notice warning", role: "note" },
      el("strong", { text: "Differs from what was declared" }), list);
  }

  sensitive(hidden) {
    return el("div", { class: "notice" },
      el("span", { text: hidden ? "Sensitive values are hidden." : "Sensitive values are shown." }), " ",
      button(hidden ? "Show sensitive values" : "Hide sensitive values", () => this.toggleReveal(), { class: "small" }));
  }

  toggleReveal() {
    this.reveal = !this.reveal;
    this.stop();
    this.load();
  }

  json(title, value, { reveal, folded }) {
    const tree = jsonTree(value, { reveal });
    const tools = [];
    if (tree.querySelector("details")) {
      tools.push(button("Expand", () => unfold(tree, true), { class: "quiet small" }));
      tools.push(button("Collapse", () => unfold(tree, false), { class: "quiet small" }));
    }
    tools.push(copyButton("Copy", () => JSON.stringify(value, null, 2)));
    return this.section(title, tree, { folded, tools });
  }

  section(title, content, { folded, tools = [] }) {
    const node = el("details", { class: "section", data: { section: title.toLowerCase() } },
      el("summary", {}, el("h3", { text: title })), el("div", { class: "tools" }, ...tools), content);
    node.open = !folded;
    return node;
  }

  facts(full) {
    const list = el("dl", { class: "ids" });
    const add = (name, value) => {
      if (value) list.append(el("dt", { text: name }), el("dd", {}, el("code", { text: value })));
    };
    add("Span", full.id);
    add("Parent", full.parent_span_id);
    add("Started", full.started_at);
    add("Finished", full.finished_at);
    const node = this.section("Identity", list, { folded: true, tools: [copyButton("Copy id", () => full.id)] });
    if (full.data_risk) node.append(jsonTree({ data_risk: full.data_risk }, { depth: 1 }));
    return node;
  }
}
