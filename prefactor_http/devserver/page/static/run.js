// One run: its head, its spans, the selected one, its quality records.

import { ask, runPath } from "/assets/api.js";
import { Detail } from "/assets/detail.js";
import { askReason } from "/assets/dialogs.js";
import { button, copyButton, el, setAttribute, setText, settled, throttled } from "/assets/dom.js";
import { Finder } from "/assets/finder.js";
import { counted, duration, exactly, moment, number, short, soFar, sum } from "/assets/format.js";
import { jsonTree } from "/assets/json.js";
import { Spans } from "/assets/spans.js";
import { Waterfall } from "/assets/waterfall.js";

const FIRST = 200;
const PAGE = 2000;
const MOST_ASKED = 400;
const MOST_SUMMARIES = 120;
const PAUSE = 250;
const TICK = 1000;
const NARROW = "(max-width: 860px)";

export class RunView {
  /** @param app See the list of runs. */
  constructor(app, run, span, query) {
    this.app = app;
    this.id = run;
    this.wanted = span;
    this.tabWanted = query.get("tab");
    this.run = null;
    this.unanswered = false;
    this.titles = new Map();
    this.spans = new Spans();
    this.summaries = new Map();
    this.closed = false;
    this.loading = false;
    this.build();
    this.changed = throttled(() => this.renew(), 400);
    this.summarize = settled(() => this.askSummaries(), 40);
    this.remember = settled(() => {
      if (!this.closed) this.app.replace(this.path());
    }, 150);
    this.ticking = setInterval(() => this.tick(), TICK);
  }

  build() {
    const title = (span) => this.titles.get(span.name) ?? span.name;
    this.finder = new Finder(this.id, this.spans, title, () => this.draw());
    this.detail = new Detail(() => this.leaveSpan());
    this.waterfall = new Waterfall(this.spans, {
      select: (span, opened) => this.select(span, { opened }),
      toggle: (span) => this.toggle(span),
      seen: (spans) => {
        this.inSight = spans;
        this.summarize();
      },
      zoomed: (zoomed) => setAttribute(this.fit, "aria-pressed", String(!zoomed)),
    });
    this.waterfall.title = title;
    this.waterfall.summary = (span) => this.summaries.get(span.seq);
    this.search = el("input", {
      type: "search", placeholder: "Name, summary, payload…", "aria-label": "Search this run",
      "aria-keyshortcuts": "/", maxlength: "200", autocomplete: "off", spellcheck: "false",
    });
    this.search.addEventListener("input", settled(() => {
      this.finder.look({ text: this.search.value.trim() });
      this.draw();
    }, 120));
    this.search.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "ArrowDown") return;
      event.preventDefault();
      event.stopPropagation();
      this.waterfall.scroller.focus();
      this.select(this.firstMatch() ?? this.waterfall.rows[0]);
    });
    this.state = el("span", { class: "muted", role: "status" });
    this.fit = button("Fit", () => this.waterfall.fit(), { title: "Show the whole run (0)", "aria-pressed": "true" });
    this.tools = el("div", { class: "bar-tools" }, this.search, this.state, el("span", { class: "grow" }),
      button("Collapse all", () => this.fold(true), { class: "quiet" }),
      button("Expand all", () => this.fold(false), { class: "quiet" }),
      el("span", { class: "joined", role: "group", "aria-label": "Zoom" },
        button("−", () => this.waterfall.zoom(0.5), { title: "Zoom out (−)", "aria-label": "Zoom out" }),
        this.fit,
        button("+", () => this.waterfall.zoom(2), { title: "Zoom in (+)", "aria-label": "Zoom in" })));
    this.head = el("header", { class: "run-head" });
    this.panel = el("div", { class: "panel", id: "spans-panel" }, this.tools,
      el("div", { class: "split" }, this.waterfall.element, this.detail.element));
    this.quality = el("div", { class: "panel quality", id: "quality-panel", role: "tabpanel", "aria-label": "Quality", tabindex: "0", hidden: true });
    this.panels = [this.panel, this.quality];
    this.tabs = el("div", {
      class: "tabs", role: "tablist", "aria-label": "Parts of the run", hidden: true,
      on: { keydown: (event) => this.tabKey(event) },
    }, ...this.panels.map((panel) => el("button", {
      type: "button", role: "tab", "aria-controls": panel.id, on: { click: () => this.turnTo(panel) },
    })));
    this.element = el("section", { class: "run" }, this.head, this.tabs, this.panel, this.quality);
  }

  async mount() {
    this.app.title("Run");
    try {
      this.tell(await ask(runPath(this.id)));
    } catch (error) {
      if (!this.closed) this.missing(error);
      return;
    }
    this.home.focus({ preventScroll: true });
    await this.load();
  }

  missing(error) {
    this.unanswered = error.status === 0;
    const text = error.status === 404 ? "There is no such run" : `Cannot show this run: ${error.message}`;
    this.app.crumbs([el("span", { text: "Not found" })]);
    this.element.replaceChildren(el("div", { class: "empty" }, el("h2", { text }),
      el("p", {}, el("code", { text: this.id })), el("a", { href: "/", "data-link": true, text: "All runs" })));
    this.run = null;
  }

  close() {
    this.closed = true;
    clearInterval(this.ticking);
    this.finder.abort?.abort();
    this.detail.stop();
    this.waterfall.close();
  }

  /** What has the focus when nothing else has. */
  get home() {
    return this.panel.hidden ? this.quality : this.waterfall.scroller;
  }

  path() {
    const run = `/runs/${encodeURIComponent(this.id)}`;
    const span = this.waterfall.selected;
    return (span ? `${run}/${encodeURIComponent(span.id)}` : run) + (this.panel.hidden ? "?tab=quality" : "");
  }

  /** Go to the search. */
  find() {
    if (this.run === null) return;
    this.turnTo(this.panel);
    this.search.focus();
  }

  get now() {
    if (this.run?.finished_at) return moment(this.run.finished_at);
    return Date.now();
  }

  /** Load all spans, a page at a time, the first one small so that there is something to see. */
  async load() {
    if (this.loading || this.closed) return;
    this.loading = true;
    try {
      let more = true;
      let open = this.spans.someOpen(MOST_ASKED);
      while (more && !this.closed) {
        const answer = await ask(`${runPath(this.id)}/spans`, {
          after: this.spans.last, limit: this.spans.all.length ? PAGE : FIRST, open: open.join(),
        });
        if (this.closed) return;
        open = [];
        more = answer.more;
        this.took(answer, more);
      }
      this.complete = true;
      if (this.wanted) this.app.problem(new Error("This run has no such span."));
      this.wanted = null;
    } catch (error) {
      if (!this.closed && error.status !== 0) this.app.problem(error);
    } finally {
      this.loading = false;
    }
    this.draw();
  }

  /** Take spans in. While more are coming, putting all in order has to wait for its turn. */
  took({ spans, changed }, more) {
    this.spans.take(spans);
    const renewed = this.spans.take(changed);
    for (const seq of renewed) this.summaries.delete(seq);
    this.untidy ||= spans.length > 0 || renewed.length > 0;
    const recently = this.arranged !== undefined && performance.now() - this.arranged < PAUSE;
    if (more && recently && !renewed.length) return;
    if (this.untidy) this.spans.arrange();
    this.untidy = false;
    this.arranged = performance.now();
    if (renewed.length) this.finder.again(Math.min(...renewed) - 1);
    else if (spans.length) this.finder.more();
    this.draw();
    if (this.wanted && this.spans.byId.has(this.wanted)) {
      const span = this.spans.byId.get(this.wanted);
      this.wanted = null;
      this.select(span, { opened: true });
    }
    const { selected } = this.waterfall;
    if (selected && renewed.includes(selected.seq) && this.detail.span === selected) {
      this.detail.show(selected, this.waterfall.title(selected), this.origin, true);
    }
  }

  /** Something has changed: ask what. */
  async renew() {
    if (this.closed) return;
    if (this.run === null) {
      if (this.unanswered) this.app.again();
      return;
    }
    try {
      const head = await ask(runPath(this.id));
      if (this.closed) return;
      this.tell(head);
    } catch (error) {
      if (!this.closed && error.status === 404) this.missing(error);
      return;
    }
    this.detail.retry();
    this.finder.retry();
    if (this.loading) setTimeout(this.changed, 200);
    else await this.load();
  }

  get origin() {
    return this.spans.all.length ? this.waterfall.extent[0] : moment(this.run?.started_at ?? null);
  }

  /** Take in the head of the run. */
  tell({ run, titles, quality }) {
    this.run = run;
    this.titles = new Map(Object.entries(titles));
    this.app.title(`${run.agent_name} ${run.version ?? ""}`.trim());
    this.app.crumbs([el("span", { text: run.agent_name }), el("code", { text: short(run.id), title: run.id })]);
    this.drawHead();
    this.drawQuality(quality);
    if (!run.counted) setTimeout(this.changed, 50);
  }

  drawHead() {
    const { run } = this;
    const text = JSON.stringify([run, this.finder.status]);
    if (text === this.headShown) return;
    this.headShown = text;
    const began = moment(run.started_at);
    this.clock = el("span", { class: "num" });
    const facts = el("div", { class: "facts muted" },
      began === null ? el("span", { text: "not started" }) : el("span", { class: "num", text: exactly(began), title: run.started_at }),
      this.clock,
      run.external_identifier ? el("span", { text: run.external_identifier }) : null,
      run.purpose === "live" ? null : el("span", { text: run.purpose.replace("_", " ") }),
      el("code", { text: run.id }), copyButton("Copy id", () => run.id));
    const chips = counted(run.spans).map(([status, count]) => el("button", {
      type: "button", class: "chip", data: { status }, "aria-pressed": String(this.finder.status === status),
      title: `Show the ${status} ones only`, text: `${number(count)} ${status}`,
      on: { click: () => this.filter(this.finder.status === status ? "" : status) },
    }));
    const all = sum(run.spans);
    const stop = run.status === "active"
      ? button("Terminate…", () => askReason(run.id, this.changed), { class: "danger" }) : null;
    this.head.replaceChildren(
      el("div", { class: "line" },
        el("h1", {}, el("span", { text: run.agent_name }), " ", el("span", { class: "version", text: run.version ?? "" })),
        el("span", { class: "pill", text: run.status, data: { status: run.status } }),
        el("span", { class: "grow" }), stop),
      facts,
      run.termination_reason === null ? "" : el("div", { class: "notice" },
        el("strong", { text: "Terminated: " }), run.termination_reason),
      el("div", { class: "chips", role: "group", "aria-label": "Spans by status" },
        el("span", { class: "muted", text: `${number(all)}${run.counted ? "" : "+"} ${all === 1 ? "span" : "spans"}` }), ...chips));
    this.tick();
  }

  tick() {
    if (!this.run || this.closed) return;
    const began = moment(this.run.started_at);
    const over = this.run.finished_at !== null;
    if (began !== null) setText(this.clock, over ? duration(this.now - began) : soFar(this.now - began));
    if (!over && this.spans.open.size && !document.hidden) this.draw();
  }

  filter(status) {
    this.finder.look({ status });
    this.drawHead();
    this.draw();
  }

  draw() {
    if (this.closed || this.run === null) return;
    const matches = this.finder.matcher();
    this.waterfall.show({ matches, now: this.now });
    const { empty, rows } = this.waterfall;
    empty.hidden = rows.length > 0 || !this.complete;
    if (!empty.hidden) setText(empty, this.finder.active ? (this.finder.busy ? "Searching…" : "Nothing found.") : "No spans yet.");
    setText(this.state, this.progress(matches));
    if (rows.length) performance.mark("rows");
  }

  progress(matches) {
    if (this.finder.error) return `Cannot search: ${this.finder.error}`;
    if (matches) {
      const found = number(this.spans.tree.filter(matches).length);
      return this.finder.busy ? `${found} found, searching…` : `${found} found`;
    }
    return this.complete ? "" : `${number(this.spans.all.length)} loaded…`;
  }

  firstMatch() {
    const matches = this.finder.matcher();
    return matches ? this.waterfall.rows.find(matches) : undefined;
  }

  /** Select a span; `opened` if it is to be looked at where there is no room beside the rows. */
  select(span, { opened = false } = {}) {
    if (!span) return;
    if (this.finder.matcher() === null && this.spans.uncover(span)) this.draw();
    this.waterfall.select(span);
    if (opened || !matchMedia(NARROW).matches) {
      this.detail.show(span, this.waterfall.title(span), this.origin);
      this.element.classList.toggle("reading", opened);
    }
    this.remember();
  }

  leaveSpan() {
    this.element.classList.remove("reading");
    this.waterfall.select(null);
    this.detail.clear();
    this.waterfall.scroller.focus({ preventScroll: true });
    this.remember();
  }

  toggle(span) {
    if (!this.spans.collapsed.delete(span.seq)) this.spans.collapsed.add(span.seq);
    this.draw();
  }

  fold(closed) {
    if (closed) this.spans.collapseAll();
    else this.spans.collapsed.clear();
    this.draw();
  }

  async askSummaries() {
    if (this.closed) return;
    const missing = (this.inSight ?? [])
      .filter((span) => !this.summaries.has(span.seq))
      .slice(0, MOST_SUMMARIES).map((span) => span.seq);
    if (!missing.length) return;
    for (const seq of missing) this.summaries.set(seq, "");
    let answer;
    try {
      answer = await ask(`${runPath(this.id)}/summaries`, { seqs: missing.join() });
    } catch {
      // They are asked for again when the rows are drawn the next time.
      for (const seq of missing) this.summaries.delete(seq);
      return;
    }
    if (this.closed) return;
    for (const seq of missing) {
      if (String(seq) in answer.summaries) this.summaries.set(seq, answer.summaries[seq]);
      else this.summaries.delete(seq);
    }
    this.waterfall.refresh();
  }

  drawQuality(records) {
    const text = JSON.stringify(records);
    if (text === this.qualityShown) return;
    this.qualityShown = text;
    this.tabs.hidden = records.length === 0;
    setAttribute(this.panel, "role", records.length ? "tabpanel" : null);
    this.quality.replaceChildren(...records.map(({ name, title, summary, payload }) =>
      el("article", { class: "card" },
        el("h2", {}, title, " ", title === name ? null : el("code", { text: name })),
        summary ? el("p", { class: "lead", text: summary }) : null, jsonTree(payload))));
    ["Spans", `Quality ${records.length}`].forEach((label, index) => setText(this.tabs.children[index], label));
    const wanted = this.tabWanted === "quality" || !this.quality.hidden;
    this.tabWanted = null;
    this.turnTo(records.length && wanted ? this.quality : this.panel);
  }

  turnTo(panel) {
    this.panels.forEach((each, index) => {
      each.hidden = each !== panel;
      const tab = this.tabs.children[index];
      setAttribute(tab, "aria-selected", String(each === panel));
      setAttribute(tab, "tabindex", each === panel ? "0" : "-1");
    });
    if (!this.panel.hidden) this.draw();
    this.remember();
  }

  /** The arrows turn from tab to tab. */
  tabKey(event) {
    const last = this.panels.length - 1;
    const at = this.panels.findIndex((panel) => !panel.hidden);
    const turns = { ArrowLeft: at ? at - 1 : last, ArrowRight: at < last ? at + 1 : 0, Home: 0, End: last };
    if (!Object.hasOwn(turns, event.key)) return;
    event.preventDefault();
    this.turnTo(this.panels[turns[event.key]]);
    this.tabs.children[turns[event.key]].focus();
  }

  key(event) {
    if (this.run === null) return event.key === "Escape" && (this.app.leave(), true);
    const { waterfall } = this;
    const { selected } = waterfall;
    const move = (by) => this.select(waterfall.neighbour(by));
    const keys = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      PageDown: () => move(waterfall.list.fitting),
      PageUp: () => move(-waterfall.list.fitting),
      Home: () => this.select(waterfall.rows[0]),
      End: () => this.select(waterfall.rows.at(-1)),
      ArrowRight: () => this.right(selected),
      ArrowLeft: () => this.left(selected),
      Enter: () => selected && this.read(selected),
      Escape: () => this.escape(),
      "+": () => waterfall.zoom(2),
      "=": () => waterfall.zoom(2),
      "-": () => waterfall.zoom(0.5),
      0: () => waterfall.fit(),
      z: () => selected && waterfall.zoomTo(selected),
    };
    if (!Object.hasOwn(keys, event.key) || (this.panel.hidden && event.key !== "Escape")) return false;
    keys[event.key]();
    return true;
  }

  right(span) {
    if (!span) this.select(this.waterfall.neighbour(1));
    else if (span.below && this.spans.collapsed.has(span.seq) && !this.finder.active) this.toggle(span);
    else if (span.below) this.select(this.waterfall.neighbour(1));
  }

  left(span) {
    if (!span) return;
    if (span.below && !this.spans.collapsed.has(span.seq) && !this.finder.active) this.toggle(span);
    else this.select(this.spans.parentOf(span));
  }

  read(span) {
    this.select(span, { opened: true });
    this.detail.element.focus({ preventScroll: true });
  }

  /** One step back: out of the quality records, the search, the filter, the span, the run. */
  escape() {
    if (this.panel.hidden) {
      this.turnTo(this.panel);
      this.home.focus({ preventScroll: true });
    } else if (this.detail.element.contains(document.activeElement) && !matchMedia(NARROW).matches) {
      this.waterfall.scroller.focus({ preventScroll: true });
    } else if (this.search.value) {
      this.search.value = "";
      this.finder.look({ text: "" });
      this.draw();
    } else if (this.finder.status) this.filter("");
    else if (this.waterfall.selected) this.leaveSpan();
    else this.app.leave();
  }
}
