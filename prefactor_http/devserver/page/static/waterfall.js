// The spans as rows: a tree on the left, bars on a time axis on the right.

import { el, setAttribute, setText } from "/assets/dom.js";
import { duration, roughly } from "/assets/format.js";
import { Rows } from "/assets/rows.js";
import { MISMATCH, SENSITIVE } from "/assets/spans.js";

const HEIGHT = 28;
const INDENT = 14;
const DEEPEST_INDENT = 16;
const STEPS = [1, 2, 5];
const CLOSEST = 0.001;

export class Waterfall {
  /**
   * @param spans The spans.
   * @param told What to tell: `select(span, opened)`, `toggle(span)`, `seen(spans)`.
   */
  constructor(spans, told) {
    this.spans = spans;
    this.told = told;
    this.rows = [];
    this.index = new Map();
    this.selected = null;
    this.matches = null;
    this.title = (span) => span.name;
    this.summary = () => "";
    this.now = Date.now();
    this.extent = [0, 1];
    this.zoomed = null;
    this.axis = el("div", { class: "axis", title: "Drag to zoom" });
    this.lines = el("div", { class: "gridlines", "aria-hidden": "true" });
    this.scroller = el("div", {
      class: "scroller", role: "tree", tabindex: "0", "aria-label": "Spans", id: "spans",
    });
    this.head = el("div", { class: "wf-head", "aria-hidden": "true" },
      el("div", { text: "Span" }), el("div", { class: "right", text: "Duration" }), this.axis);
    this.empty = el("p", { class: "empty", hidden: true });
    this.element = el("div", { class: "waterfall" }, this.head, this.scroller, this.empty);
    this.list = new Rows(this.scroller, {
      height: HEIGHT,
      make: () => this.make(),
      fill: (row, index) => this.fill(row, this.rows[index]),
      seen: (first, last) => this.told.seen(this.rows.slice(first, last + 1)),
    });
    this.list.box.prepend(this.lines);
    this.scroller.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.axis.addEventListener("pointerdown", (event) => this.dragged(event));
    this.axis.addEventListener("dblclick", () => this.fit());
    this.observer = new ResizeObserver(() => this.drawAxis());
    this.observer.observe(this.axis);
  }

  /** Show the spans as they are now; `matches` says which ones are looked for. */
  show({ matches = null, now }) {
    this.matches = matches;
    this.now = now;
    this.extent = this.spans.extent(now);
    this.rows = this.spans.visible(matches);
    this.index = new Map(this.rows.map((span, index) => [span.seq, index]));
    this.drawAxis();
    this.list.show(this.rows.length);
    this.pointAt();
  }

  /** Fill the rows in sight again. */
  refresh() {
    this.list.draw(true);
  }

  get window() {
    return this.zoomed ?? this.extent;
  }

  /** Select a span, or none, and have it in sight. */
  select(span, reveal = true) {
    this.selected = span;
    if (span && reveal && this.index.has(span.seq)) this.list.reveal(this.index.get(span.seq));
    this.list.draw(true);
    this.pointAt();
  }

  /** Tell assistive technology which row is meant; it may not exist while out of sight. */
  pointAt() {
    const shown = this.selected && this.index.has(this.selected.seq);
    setAttribute(this.scroller, "aria-activedescendant", shown ? `span-${this.selected.seq}` : null);
  }

  /** Return the span `by` rows from the selected one, within bounds. */
  neighbour(by) {
    const at = this.selected ? this.index.get(this.selected.seq) : undefined;
    if (at === undefined) return by > 0 ? this.rows[0] : this.rows.at(-1);
    return this.rows[Math.max(0, Math.min(this.rows.length - 1, at + by))];
  }

  make() {
    const row = el("div", { class: "row span-row", role: "treeitem" });
    const caret = el("span", { class: "caret", "aria-hidden": "true" });
    const dot = el("span", { class: "dot", "aria-hidden": "true" });
    const name = el("span", { class: "name" });
    const below = el("span", { class: "below" });
    const flag = el("span", { class: "flag" });
    const summary = el("span", { class: "summary" });
    const tree = el("div", { class: "cell tree" }, caret, dot, name, below, flag, summary);
    const time = el("div", { class: "cell right time" });
    const bar = el("div", { class: "bar" });
    const lane = el("div", { class: "cell lane" }, bar);
    row.append(tree, time, lane);
    Object.assign(row, { parts: { caret, dot, name, below, flag, summary, tree, time, bar } });
    row.addEventListener("click", (event) => {
      if (event.target === caret && row.span.below) this.told.toggle(row.span);
      else this.told.select(row.span, true);
    });
    row.addEventListener("dblclick", (event) => {
      if (event.target !== caret) this.zoomTo(row.span);
    });
    return row;
  }

  fill(row, span) {
    const { caret, dot, name, below, flag, summary, tree, time, bar } = row.parts;
    row.span = span;
    row.id = `span-${span.seq}`;
    const chosen = span === this.selected;
    const folded = span.below && this.matches === null && this.spans.collapsed.has(span.seq);
    setAttribute(row, "aria-level", String(span.depth + 1));
    setAttribute(row, "aria-posinset", String(span.place));
    setAttribute(row, "aria-setsize", String(span.siblings));
    setAttribute(row, "aria-selected", String(chosen));
    setAttribute(row, "aria-expanded", span.below ? String(!folded) : null);
    row.classList.toggle("aside", this.matches !== null && !this.matches(span));
    tree.style.paddingLeft = `${6 + Math.min(span.depth, DEEPEST_INDENT) * INDENT}px`;
    setText(caret, span.below ? (folded ? "▸" : "▾") : "");
    setAttribute(dot, "data-status", span.status);
    setText(name, this.title(span));
    setAttribute(name, "title", span.depth > DEEPEST_INDENT ? `${span.name}, level ${span.depth + 1}` : span.name);
    setText(below, folded ? `+${span.size}` : "");
    const signs = [];
    if (span.flags & MISMATCH) signs.push("differs from its schema");
    if (span.flags & SENSITIVE) signs.push("has sensitive values");
    setText(flag, (span.flags & MISMATCH ? "⚠" : "") + (span.flags & SENSITIVE ? "◍" : ""));
    setAttribute(flag, "title", signs.length ? signs.join(", ") : null);
    setText(summary, this.summary(span) ?? "");
    const open = span.end === null && span.status === "active";
    const end = span.end ?? (open ? this.now : span.start);
    const took = span.start === null ? "" : duration(Math.max(0, end - span.start));
    setText(time, open && took ? `${took}…` : took);
    setAttribute(row, "aria-label",
      [this.title(span), span.status, took, ...signs, this.summary(span)].filter(Boolean).join(", "));
    this.place(bar, span, end);
  }

  /** Put the bar where its time is. */
  place(bar, span, end) {
    const [from, to] = this.window;
    const width = to - from;
    bar.hidden = span.start === null || span.start > to || end < from;
    if (bar.hidden) return;
    setAttribute(bar, "data-status", span.status);
    const left = Math.max(0, (span.start - from) / width);
    const right = Math.min(1, (end - from) / width);
    bar.style.left = `${left * 100}%`;
    bar.style.width = `${Math.max(0, right - left) * 100}%`;
  }

  /** Draw the ticks, at a distance that leaves room for their labels. */
  drawAxis() {
    const [from, to] = this.window;
    const room = Math.max(2, Math.floor(this.axis.clientWidth / 60));
    const rough = (to - from) / room;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * (STEPS.find((factor) => factor * power >= rough) ?? 10);
    const base = this.extent[0];
    const marks = [];
    const lines = [];
    for (let at = Math.ceil((from - base) / step) * step; base + at < to; at += step) {
      const share = (base + at - from) / (to - from);
      const mark = el("span", { class: "tick", text: at === 0 ? "0" : roughly(at) });
      const line = el("span", { class: "gridline" });
      if (share > 0.93) mark.classList.add("last");
      mark.style.left = `${share * 100}%`;
      line.style.left = `${share * 100}%`;
      marks.push(mark);
      lines.push(line);
    }
    this.axis.replaceChildren(...marks);
    this.lines.replaceChildren(...lines);
  }

  /** Show the whole run. */
  fit() {
    this.look(null);
  }

  /** Zoom by `factor` around a moment, the middle if none is given. */
  zoom(factor, around = null) {
    const [from, to] = this.window;
    const centre = around ?? (from + to) / 2;
    this.look([centre - (centre - from) / factor, centre + (to - centre) / factor]);
  }

  zoomTo(span) {
    if (span.start === null) return;
    const end = span.end ?? this.now;
    const margin = Math.max((end - span.start) * 0.1, CLOSEST);
    this.look([span.start - margin, end + margin]);
  }

  /** Show a part of the time, never beyond the whole and never closer than sense allows. */
  look(part) {
    if (part) {
      const [first, last] = this.extent;
      const width = Math.max(part[1] - part[0], CLOSEST);
      const from = Math.max(first, Math.min(part[0], last - width));
      part = width >= last - first ? null : [from, from + width];
    }
    this.zoomed = part;
    this.drawAxis();
    this.list.draw(true);
    this.told.zoomed?.(part !== null);
  }

  momentAt(event) {
    const { left, width } = this.axis.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (event.clientX - left) / width));
    const [from, to] = this.window;
    return from + share * (to - from);
  }

  wheeled(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), this.momentAt(event));
    } else if (this.zoomed && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) {
      event.preventDefault();
      const [from, to] = this.zoomed;
      const by = ((event.deltaX || event.deltaY) / this.axis.clientWidth) * (to - from);
      this.look([from + by, to + by]);
    }
  }

  dragged(event) {
    const began = this.momentAt(event);
    const { left, width } = this.axis.getBoundingClientRect();
    const at = (moved) => Math.max(0, Math.min(width, moved.clientX - left));
    const start = at(event);
    const brush = el("span", { class: "brush" });
    this.axis.append(brush);
    this.axis.setPointerCapture(event.pointerId);
    const move = (moved) => {
      brush.style.left = `${Math.min(start, at(moved))}px`;
      brush.style.width = `${Math.abs(at(moved) - start)}px`;
    };
    const end = (ended) => {
      this.axis.removeEventListener("pointermove", move);
      brush.remove();
      if (ended.type !== "pointerup" || Math.abs(at(ended) - start) < 4) return;
      const stopped = this.momentAt(ended);
      this.look([Math.min(began, stopped), Math.max(began, stopped)]);
    };
    this.axis.addEventListener("pointermove", move);
    this.axis.addEventListener("pointerup", end, { once: true });
    this.axis.addEventListener("pointercancel", end, { once: true });
  }

  close() {
    this.list.close();
    this.observer.disconnect();
  }
}
