// The spans of one run: who is whose child, and which rows there are to show.

import { moment } from "/assets/format.js";

export const MISMATCH = 1;
export const SENSITIVE = 2;

const PATIENCE = 60_000;

const isOpen = (span) => span.status === "active" || span.status === "pending";
const byStart = (left, right) => (left.start ?? Infinity) - (right.start ?? Infinity) || left.seq - right.seq;

export class Spans {
  constructor() {
    this.all = [];
    this.bySeq = new Map();
    this.byId = new Map();
    this.open = new Set();
    this.collapsed = new Set();
    this.last = 0;
    this.tree = [];
  }

  /** Take spans in as the server lists them; return the numbers of those that were known. */
  take(lists) {
    const known = [];
    for (const [seq, id, parent, name, status, started, finished, flags] of lists) {
      let span = this.bySeq.get(seq);
      if (span) {
        known.push(seq);
      } else {
        span = { seq, id, parent, name, depth: 0, size: 0, below: false, place: 1, siblings: 1 };
        this.all.push(span);
        this.bySeq.set(seq, span);
        this.byId.set(id, span);
        this.last = Math.max(this.last, seq);
      }
      Object.assign(span, { status, start: moment(started), end: moment(finished), flags });
      if (isOpen(span)) this.open.add(seq);
      else this.open.delete(seq);
    }
    return known;
  }

  /** Put all spans in order: parents before children, siblings as they began. */
  arrange() {
    const children = new Map();
    const roots = [];
    for (const span of this.all) {
      // A span that names itself or a stranger as its parent stands at the top.
      if (span.parent && span.parent !== span.id && this.byId.has(span.parent)) {
        const siblings = children.get(span.parent);
        if (siblings) siblings.push(span);
        else children.set(span.parent, [span]);
      } else {
        roots.push(span);
      }
    }
    for (const siblings of [roots, ...children.values()]) {
      siblings.sort(byStart);
      siblings.forEach((span, index) => Object.assign(span, { place: index + 1, siblings: siblings.length }));
    }
    const tree = [];
    const visited = new Set();
    const walk = (root) => {
      const stack = [[root, 0]];
      while (stack.length) {
        const [span, depth] = stack.pop();
        if (visited.has(span)) continue;
        visited.add(span);
        span.depth = depth;
        tree.push(span);
        const below = children.get(span.id) ?? [];
        span.below = below.length > 0;
        for (let index = below.length - 1; index >= 0; index -= 1) stack.push([below[index], depth + 1]);
      }
    };
    for (const root of roots) walk(root);
    // Parents in a circle hang on no root.
    if (tree.length < this.all.length) for (const span of this.all) if (!visited.has(span)) walk(span);
    // How many hang below each: the distance to the next row that is not deeper.
    const waiting = [];
    for (let index = 0; index <= tree.length; index += 1) {
      const depth = index < tree.length ? tree[index].depth : -1;
      while (waiting.length && tree[waiting.at(-1)].depth >= depth) {
        const done = waiting.pop();
        tree[done].size = index - done - 1;
      }
      waiting.push(index);
    }
    this.tree = tree;
  }

  /** Return the rows to show. With `matches`, those and their ancestors, whatever is collapsed. */
  visible(matches = null) {
    const rows = [];
    if (matches === null) {
      for (let index = 0; index < this.tree.length; index += 1) {
        const span = this.tree[index];
        rows.push(span);
        if (this.collapsed.has(span.seq)) index += span.size;
      }
      return rows;
    }
    const path = [];
    let shown = 0;
    for (const span of this.tree) {
      path.length = span.depth;
      shown = Math.min(shown, span.depth);
      path.push(span);
      if (!matches(span)) continue;
      while (shown < path.length) rows.push(path[shown++]);
    }
    return rows;
  }

  /** Return the parent of a span, if it is shown above it. */
  parentOf(span) {
    return span.depth ? this.byId.get(span.parent) : undefined;
  }

  /** Make sure that no ancestor hides `span`; return whether one did. */
  uncover(span) {
    let hidden = false;
    for (let above = this.parentOf(span); above; above = this.parentOf(above)) {
      hidden = this.collapsed.delete(above.seq) || hidden;
    }
    return hidden;
  }

  collapseAll() {
    for (const span of this.tree) if (span.below) this.collapsed.add(span.seq);
  }

  /**
   * Return the moments of the first start and the last end; what is open lasts until `now`, but a
   * run that was abandoned long ago is not squeezed for it.
   */
  extent(now) {
    let [first, last] = [Infinity, -Infinity];
    for (const span of this.all) {
      if (span.start === null) continue;
      first = Math.min(first, span.start);
      last = Math.max(last, span.end ?? span.start);
    }
    if (first === Infinity) return [now, now + 1];
    const longest = last + Math.max(last - first, PATIENCE);
    if (this.open.size) last = Math.max(last, Math.min(now, longest));
    return [first, Math.max(last, first + 0.001)];
  }

  /** Return the numbers of up to `most` open spans; others get their turn the next time. */
  someOpen(most) {
    const turn = [...this.open].slice(0, most);
    if (turn.length < this.open.size) {
      for (const seq of turn) {
        this.open.delete(seq);
        this.open.add(seq);
      }
    }
    return turn;
  }
}
