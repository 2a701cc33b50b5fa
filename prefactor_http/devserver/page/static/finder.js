// Search within a run: titles and names at once, what the spans hold as the server finds it.

import { ask, runPath } from "/assets/api.js";

export class Finder {
  /**
   * @param title Returns what a span is called.
   * @param found Called whenever there is more to show.
   */
  constructor(run, spans, title, found) {
    this.run = run;
    this.spans = spans;
    this.title = title;
    this.found = found;
    this.text = "";
    this.status = "";
    this.held = new Set();
    this.reached = 0;
    this.busy = false;
    this.error = "";
    this.abort = null;
  }

  get active() {
    return this.text !== "" || this.status !== "";
  }

  /** Look for something else. */
  look({ text = this.text, status = this.status }) {
    const other = text !== this.text;
    this.text = text;
    this.status = status;
    if (other) this.again(0);
  }

  /** Search from a span on, because it has changed; from the beginning by default. */
  again(from = 0) {
    this.abort?.abort();
    this.abort = null;
    this.busy = false;
    this.error = "";
    this.reached = Math.min(this.reached, from);
    for (const seq of this.held) if (seq > from) this.held.delete(seq);
    this.more();
  }

  /** Go on where the server did not answer. */
  retry() {
    if (this.error) this.again(this.reached);
  }

  /** Go on to the end of what there is. */
  async more() {
    if (this.text === "" || this.busy) return;
    const abort = (this.abort = new AbortController());
    this.busy = true;
    try {
      let next = this.reached;
      while (next !== null) {
        const query = { q: this.text, after: next };
        const answer = await ask(`${runPath(this.run)}/search`, query, { signal: abort.signal });
        for (const seq of answer.seqs) this.held.add(seq);
        next = answer.next;
        this.reached = next ?? Math.max(this.reached, this.spans.last);
        this.found();
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error = error.message;
    }
    if (this.abort === abort) {
      this.busy = false;
      this.found();
    }
  }

  /** Return what says whether a span is looked for, null if nothing is. */
  matcher() {
    if (!this.active) return null;
    const needle = this.text.toLowerCase();
    const { held, status } = this;
    const called = (span) => [this.title(span), span.name].some((text) => text.toLowerCase().includes(needle));
    return (span) =>
      (status === "" || span.status === status) &&
      (needle === "" || held.has(span.seq) || called(span) || span.id === needle);
  }
}
