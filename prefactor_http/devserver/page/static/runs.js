// The list of runs.

import { ask } from "/assets/api.js";
import { el, setAttribute, setText, settled, throttled } from "/assets/dom.js";
import { counted, duration, moment, number, short, soFar, STATUSES, when } from "/assets/format.js";
import { Rows } from "/assets/rows.js";

const HEIGHT = 40;
const PAGE = 100;
const SIGNS = { complete: "✓", failed: "✕", active: "●", pending: "○", cancelled: "–", terminated: "■" };
const TICK = 1000;

export class RunsView {
  /** @param app `go(path)`, `replace(path)`, `title(text)`, `crumbs(nodes)`, `problem(error)`. */
  constructor(app, query) {
    this.app = app;
    this.filters = {
      status: STATUSES.includes(query.get("status")) ? query.get("status") : "",
      agent: query.get("agent") ?? "",
      q: (query.get("q") ?? "").slice(0, 200),
    };
    this.runs = [];
    this.next = null;
    this.selected = null;
    this.turn = 0;
    this.loading = false;
    this.build();
    this.changed = throttled(() => this.renew(), 500);
    this.ticking = setInterval(() => this.tick(), TICK);
  }

  build() {
    this.search = el("input", {
      type: "search", placeholder: "Agent, version, id, reason…", "aria-label": "Search runs",
      "aria-keyshortcuts": "/", maxlength: "200", autocomplete: "off", spellcheck: "false",
    });
    this.search.value = this.filters.q;
    this.search.addEventListener("input", settled(() => this.filter({ q: this.search.value.trim() }), 120));
    this.agents = el("select", { "aria-label": "Agent" }, el("option", { value: "", text: "All agents" }));
    this.agents.addEventListener("change", () => this.filter({ agent: this.agents.value }));
    this.statuses = el("div", { class: "chips", role: "group", "aria-label": "Status" });
    for (const status of ["", ...STATUSES]) {
      this.statuses.append(el("button", {
        type: "button", class: "chip", data: { status }, text: status === "" ? "all" : status,
        "aria-pressed": String(status === this.filters.status),
        on: { click: () => this.filter({ status }) },
      }));
    }
    this.total = el("span", { class: "muted total", role: "status" });
    this.scroller = el("div", { class: "scroller", role: "grid", tabindex: "0", "aria-label": "Runs", id: "runs" });
    this.empty = el("div", { class: "empty", hidden: true });
    const head = el("div", { class: "runs-head", "aria-hidden": "true" },
      ...["Status", "Agent", "Version", "Run", "Spans", "Started", "Duration"].map((text) => el("div", { text })));
    this.element = el("section", { class: "runs" },
      el("div", { class: "bar-tools" }, this.search, this.agents, this.statuses, this.total),
      head, this.scroller, this.empty);
    this.list = new Rows(this.scroller, {
      height: HEIGHT,
      make: () => this.make(),
      fill: (row, index) => this.fill(row, this.runs[index]),
      seen: (first, last) => this.seen(first, last),
    });
  }

  async mount() {
    this.app.title("Runs");
    this.app.crumbs([]);
    this.scroller.focus({ preventScroll: true });
    await this.load();
  }

  close() {
    this.turn += 1;
    clearInterval(this.ticking);
    this.list.close();
  }

  filter(change) {
    Object.assign(this.filters, change);
    for (const chip of this.statuses.children) {
      setAttribute(chip, "aria-pressed", String(chip.dataset.status === this.filters.status));
    }
    const words = new URLSearchParams(Object.entries(this.filters).filter(([, value]) => value));
    this.app.replace(words.size ? `/?${words}` : "/");
    this.load();
  }

  /** What has the focus when nothing else has. */
  get home() {
    return this.scroller;
  }

  get filtered() {
    return Object.values(this.filters).some((value) => value !== "");
  }

  /** Load the first page for the filters in force. */
  async load() {
    const turn = (this.turn += 1);
    this.loading = true;
    try {
      const answer = await ask("/page/runs", { ...this.filters, limit: PAGE });
      if (turn !== this.turn) return;
      this.runs = answer.runs;
      this.next = answer.next;
      this.told(answer);
      this.scroller.scrollTop = 0;
      if (!this.runs.some((run) => run.id === this.selected)) this.selected = null;
      this.loading = false;
      this.show();
    } catch (error) {
      if (turn !== this.turn) return;
      this.loading = false;
      this.app.problem(error);
    }
  }

  /** Load what is below the last run, until something comes. */
  async more() {
    if (this.loading || this.next === null) return;
    const turn = this.turn;
    this.loading = true;
    try {
      let came = 0;
      while (this.next !== null && came === 0) {
        const answer = await ask("/page/runs", { ...this.filters, limit: PAGE, before: this.next });
        if (turn !== this.turn) return;
        this.runs = this.runs.concat(answer.runs);
        this.next = answer.next;
        came = answer.runs.length;
      }
    } catch (error) {
      if (turn === this.turn) this.app.problem(error);
      return;
    } finally {
      if (turn === this.turn) this.loading = false;
    }
    this.show();
  }

  /** Ask again for the newest runs and for those in sight, and put them in their places. */
  async renew() {
    const turn = this.turn;
    if (this.loading) {
      setTimeout(this.changed, 200);
      return;
    }
    try {
      const answer = await ask("/page/runs", { ...this.filters, limit: PAGE });
      if (turn !== this.turn) return;
      this.told(answer);
      const newest = this.runs[0]?.seq ?? 0;
      const arrived = answer.runs.filter((run) => run.seq > newest).length;
      this.runs = this.merge(answer, Infinity);
      const first = Math.floor(this.scroller.scrollTop / HEIGHT) + arrived;
      if (first >= answer.runs.length && this.runs[first]) {
        const before = this.runs[first].seq + 1;
        const limit = Math.min(PAGE, this.list.fitting + 2);
        const seen = await ask("/page/runs", { ...this.filters, limit, before });
        if (turn !== this.turn) return;
        this.runs = this.merge(seen, before);
      }
      if (arrived && this.scroller.scrollTop > 0) {
        // What is read stays where it is.
        this.list.box.style.height = `${this.runs.length * HEIGHT}px`;
        this.scroller.scrollTop += arrived * HEIGHT;
      }
      this.show();
      if (this.runs.some((run) => !run.counted)) setTimeout(this.changed, 50);
    } catch (error) {
      if (turn === this.turn && error.status !== 0) this.app.problem(error);
    }
  }

  /** Replace the runs of an answer's range by the answer. */
  merge(answer, before) {
    const floor = answer.next ?? 0;
    const below = this.runs.filter((run) => run.seq < floor);
    const above = this.runs.filter((run) => run.seq >= before);
    if (below.length === 0) this.next = answer.next;
    return [...above, ...answer.runs, ...below];
  }

  told({ total, more_than_total: more, agents }) {
    const noun = total === 1 && !more ? "run" : "runs";
    setText(this.total, `${number(total)}${more ? "+" : ""} ${noun}`);
    const known = [...this.agents.options].map((option) => `${option.value} ${option.text}`).join();
    const options = [{ id: "", name: "All agents" }, ...agents];
    if (known !== options.map(({ id, name }) => `${id} ${name}`).join()) {
      this.agents.replaceChildren(...options.map(({ id, name }) => el("option", { value: id, text: name })));
    }
    this.agents.value = this.filters.agent;
    this.agents.hidden = agents.length < 2 && !this.filters.agent;
  }

  show() {
    this.list.show(this.runs.length);
    const none = this.runs.length === 0 && this.next === null;
    this.empty.hidden = !none;
    if (none) this.empty.replaceChildren(...(this.filtered ? this.nothingFits() : this.nothingYet()));
    if (this.runs.length === 0 && this.next !== null) this.more();
    this.pointAt();
    if (this.runs.some((run) => !run.counted)) setTimeout(this.changed, 50);
    performance.mark("rows");
  }

  nothingFits() {
    return [el("p", { text: "No run fits these filters." }),
      el("button", { type: "button", text: "Clear filters", on: { click: () => this.clear() } })];
  }

  nothingYet() {
    const lines = [
      `export PREFACTOR_API_URL=${location.origin}`,
      "export PREFACTOR_API_TOKEN=…   # the server printed it when it started",
    ];
    return [el("h2", { text: "No runs yet" }),
      el("p", { text: "Start an agent with these in its environment; its run appears here as it happens." }),
      el("pre", { text: lines.join("\n") }),
      el("pre", { text: 'from prefactor_exporter import Exporter\n\nExporter.from_env().record_span("agent:llm", {"question": "What is 6 times 7?"})' })];
  }

  clear() {
    this.search.value = "";
    this.filter({ status: "", agent: "", q: "" });
  }

  make() {
    const cells = {};
    for (const name of ["status", "agent", "version", "id", "spans", "started", "took"]) {
      cells[name] = el("div", { class: `cell ${name}`, role: "gridcell" });
    }
    cells.pill = el("span", { class: "pill" });
    cells.status.append(cells.pill);
    cells.link = el("a", { class: "stretch", "data-link": true, tabindex: "-1" });
    cells.id.append(cells.link);
    const row = el("div", { class: "row run-row", role: "row" },
      cells.status, cells.agent, cells.version, cells.id, cells.spans, cells.started, cells.took);
    row.cells = cells;
    return row;
  }

  fill(row, run) {
    const { cells } = row;
    row.id = `run-${run.seq}`;
    setAttribute(row, "aria-selected", String(run.id === this.selected));
    setText(cells.pill, run.status);
    setAttribute(cells.pill, "data-status", run.status);
    setAttribute(cells.pill, "title", run.termination_reason);
    setText(cells.agent, run.agent);
    setText(cells.version, run.version ?? "");
    setText(cells.link, run.external_identifier ?? short(run.id));
    setAttribute(cells.link, "title", run.id);
    setAttribute(cells.link, "href", `/runs/${encodeURIComponent(run.id)}`);
    setText(cells.started, when(moment(run.started_at ?? run.inserted_at)));
    setText(cells.took, took(run));
    const text = JSON.stringify([run.spans, run.counted]);
    if (cells.spans.dataset.shown !== text) {
      cells.spans.dataset.shown = text;
      cells.spans.replaceChildren(...counts(run));
    }
  }

  tick() {
    if (this.runs.some((run) => run.status === "active")) this.list.draw(true);
  }

  seen(_first, last) {
    if (last >= this.runs.length - PAGE / 2) this.more();
  }

  /** Select the run at `index`. */
  choose(index) {
    if (!this.runs.length) return;
    const at = Math.max(0, Math.min(this.runs.length - 1, index));
    this.selected = this.runs[at].id;
    this.list.reveal(at);
    this.list.draw(true);
    this.pointAt();
  }

  pointAt() {
    const run = this.runs.find(({ id }) => id === this.selected);
    setAttribute(this.scroller, "aria-activedescendant", run ? `run-${run.seq}` : null);
  }

  key(event) {
    const at = this.runs.findIndex((run) => run.id === this.selected);
    const moves = {
      ArrowDown: () => this.choose(at + 1),
      ArrowUp: () => this.choose(at < 0 ? 0 : at - 1),
      Home: () => this.choose(0),
      End: () => this.choose(this.runs.length - 1),
      PageDown: () => this.choose(at + this.list.fitting),
      PageUp: () => this.choose(at - this.list.fitting),
    };
    if (event.key in moves) moves[event.key]();
    else if ((event.key === "Enter" || event.key === "ArrowRight") && at >= 0) {
      this.app.go(`/runs/${encodeURIComponent(this.selected)}`);
    } else if (event.key === "Escape" && this.filtered) this.clear();
    else return false;
    return true;
  }
}

function took(run) {
  const began = moment(run.started_at);
  if (began === null) return "";
  if (run.finished_at) return duration(moment(run.finished_at) - began);
  return soFar(Date.now() - began);
}

/** Return chips with the counts by status. */
export function counts(run) {
  const chips = counted(run.spans).map(([status, count]) =>
    el("span", { class: "count", data: { status }, title: `${number(count)} ${status}` },
      el("span", { "aria-hidden": "true", text: SIGNS[status] }), number(count),
      el("span", { class: "unseen", text: ` ${status} ` })));
  if (!run.counted) chips.push(el("span", { class: "muted", text: "counting…" }));
  return chips.length ? chips : [el("span", { class: "muted", text: "none" })];
}
