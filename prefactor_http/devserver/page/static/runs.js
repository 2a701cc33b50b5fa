// The list of runs.

import { ask } from "/assets/api.js";
import { copyButton, el, setAttribute, setText, settled, throttled } from "/assets/dom.js";
import { counted, duration, moment, number, short, soFar, STATUSES, when } from "/assets/format.js";
import { Rows } from "/assets/rows.js";

const HEIGHT = 40;
const PAGE = 100;
const SIGNS = { complete: "✓", failed: "✕", active: "●", pending: "○", cancelled: "–", terminated: "■" };
const TICK = 1000;
const EXAMPLE = `python -c 'from prefactor_exporter import Exporter
Exporter.from_env().record_span("agent:llm", {"question": "What is 6 times 7?"})'`;

export class RunsView {
  /** @param app `go(path)`, `leave()`, `again()`, `replace(path)`, `title(text)`, `crumbs(nodes)`, `problem(error)`. */
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
    this.loaded = false;
    this.closed = true;
    this.scrolled = 0;
    this.token = null;
    this.rowcount = -1;
    this.build();
    this.changed = throttled(() => this.renew(), 500);
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
    this.scroller.append(el("div", { class: "runs-head", role: "row", "aria-rowindex": "1" },
      ...["Status", "Agent", "Version", "Run", "Spans", "Started", "Duration"].map((text) =>
        el("div", { role: "columnheader", text }))));
    this.empty = el("div", { class: "empty", hidden: true });
    this.element = el("section", { class: "runs" },
      el("div", { class: "bar-tools" }, this.search, this.agents, this.statuses, this.total),
      this.scroller, this.empty);
    this.list = new Rows(this.scroller, {
      height: HEIGHT,
      make: () => this.make(),
      fill: (row, index) => this.fill(row, index),
      seen: (first, last) => this.seen(first, last),
    });
    this.list.box.setAttribute("role", "rowgroup");
  }

  /** Show the list: from its beginning, or as it was left. */
  async mount() {
    this.closed = false;
    this.app.title("Runs");
    this.app.crumbs([]);
    this.app.replace(this.address);
    this.ticking = setInterval(() => this.tick(), TICK);
    this.list.open();
    this.scroller.focus({ preventScroll: true });
    if (this.loaded) {
      this.search.value = this.filters.q;
      this.scroller.scrollTop = this.scrolled;
      this.list.draw(true);
      await this.renew();
    } else {
      await this.load();
    }
  }

  close() {
    this.closed = true;
    this.turn += 1;
    this.loading = false;
    this.scrolled = this.scroller.scrollTop;
    clearInterval(this.ticking);
    this.list.close();
  }

  /** The address that says which filters are on. */
  get address() {
    const words = new URLSearchParams(Object.entries(this.filters).filter(([, value]) => value));
    return words.size ? `/?${words}` : "/";
  }

  filter(change) {
    if (this.closed) return;
    Object.assign(this.filters, change);
    for (const chip of this.statuses.children) {
      setAttribute(chip, "aria-pressed", String(chip.dataset.status === this.filters.status));
    }
    this.app.replace(this.address);
    this.load();
  }

  /** Go to the search. */
  find() {
    this.search.focus();
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
    if (this.closed) return;
    const turn = this.turn;
    if (this.loading) {
      setTimeout(this.changed, 200);
      return;
    }
    this.loading = true;
    try {
      const newest = this.runs[0]?.seq ?? Infinity;
      let answer = await ask("/page/runs", { ...this.filters, limit: PAGE });
      if (turn !== this.turn) return;
      this.told(answer);
      this.runs = this.merge(answer, Infinity);
      while (answer.next > newest) {
        // More have arrived than one answer holds.
        const before = answer.next;
        answer = await ask("/page/runs", { ...this.filters, limit: PAGE, before });
        if (turn !== this.turn) return;
        this.runs = this.merge(answer, before);
      }
      const arrived = this.runs.filter((run) => run.seq > newest).length;
      const first = Math.floor(this.scroller.scrollTop / HEIGHT) + arrived;
      if (first >= PAGE && this.runs[first]) {
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
    } catch (error) {
      if (turn === this.turn && error.status !== 0) this.app.problem(error);
      return;
    } finally {
      if (turn === this.turn) this.loading = false;
    }
    this.show();
  }

  /** Replace the runs of an answer's range by the answer. */
  merge(answer, before) {
    const floor = answer.next ?? 0;
    const below = this.runs.filter((run) => run.seq < floor);
    const above = this.runs.filter((run) => run.seq >= before);
    if (below.length === 0) this.next = answer.next;
    return [...above, ...answer.runs, ...below];
  }

  told({ total, more_than_total: more, agents, token }) {
    this.loaded = true;
    this.token = token;
    this.rowcount = more ? -1 : total + 1;
    const noun = total === 1 && !more ? "run" : "runs";
    setText(this.total, `${number(total)}${more ? "+" : ""} ${noun}`);
    const names = agents.includes(this.filters.agent) || !this.filters.agent ? agents : [this.filters.agent, ...agents];
    const known = [...this.agents.options].slice(1).map((option) => option.value);
    if (JSON.stringify(known) !== JSON.stringify(names)) {
      this.agents.replaceChildren(el("option", { value: "", text: "All agents" }),
        ...names.map((name) => el("option", { value: name, text: name })));
    }
    this.agents.value = this.filters.agent;
    this.agents.hidden = agents.length < 2 && !this.filters.agent;
  }

  show() {
    this.list.show(this.runs.length);
    // The header counts as a row; -1 says that nobody knows how many there are.
    setAttribute(this.scroller, "aria-rowcount", String(this.next === null ? this.runs.length + 1 : this.rowcount));
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
    const address = `export PREFACTOR_API_URL=${location.origin}`;
    // A deployment token knows its agent; what stands there for another server would be refused.
    const lines = [address, `export PREFACTOR_API_TOKEN=${this.token}`, "unset PREFACTOR_AGENT_ID PREFACTOR_ENVIRONMENT_ID"];
    const how = this.token === null
      ? [el("p", { text: "This server has tokens of its own, which are not shown here. They stand where it was started:" }),
        el("p", {}, el("code", { text: "prefactor-exporter serve" }), " prints lines to paste, ",
          el("code", { text: "python -m prefactor_http.devserver" }), " prints ", el("code", { text: "deployment_token=" }), ".")]
      : [el("p", { text: "Paste this into a shell and start your agent there; its run appears here as it happens." }), pasted(lines.join("\n"))];
    return [el("h2", { text: "No runs yet" }), ...how,
      el("p", { text: "An agent of one line, to try it:" }), pasted(EXAMPLE)];
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

  fill(row, index) {
    const { cells } = row;
    const run = this.runs[index];
    row.id = `run-${run.seq}`;
    setAttribute(row, "aria-rowindex", String(index + 2));
    setAttribute(row, "aria-selected", String(run.id === this.selected));
    setText(cells.pill, run.status);
    setAttribute(cells.pill, "data-status", run.status);
    setAttribute(cells.pill, "title", run.termination_reason);
    setText(cells.agent, run.agent_name);
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

/** Return lines to paste, with a button that copies them. */
function pasted(text) {
  return el("div", { class: "pasted" }, el("pre", { text }), copyButton("Copy", () => text));
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
