// Show few of many rows: only those in sight exist, and they are used again while scrolling.

const SPARE = 8;

export class Rows {
  /**
   * @param scroller What scrolls; rows live in a box inside it.
   * @param height Height of every row in pixels.
   * @param make Returns an empty row.
   * @param fill Fills a row with what stands at an index.
   * @param seen Told the first and last index in sight.
   */
  constructor(scroller, { height, make, fill, seen = () => {} }) {
    this.scroller = scroller;
    this.height = height;
    this.make = make;
    this.fill = fill;
    this.seen = seen;
    this.count = 0;
    this.pool = [];
    this.box = document.createElement("div");
    this.box.className = "rows";
    scroller.append(this.box);
    this.scrolled = () => this.draw(false);
    scroller.addEventListener("scroll", this.scrolled, { passive: true });
    this.observer = new ResizeObserver(() => this.draw(false));
    this.open();
  }

  open() {
    this.observer.observe(this.scroller);
  }

  /** Show `count` rows, filling all in sight again. */
  show(count) {
    this.count = count;
    this.box.style.height = `${count * this.height}px`;
    this.draw(true);
  }

  /** Return the first and last index in sight. */
  range() {
    const top = Math.max(0, this.scroller.scrollTop - this.box.offsetTop);
    const first = Math.floor(top / this.height);
    const last = Math.ceil((top + this.scroller.clientHeight) / this.height);
    return [Math.min(first, Math.max(0, this.count - 1)), Math.min(this.count - 1, last)];
  }

  /** Fill the rows in sight; without `all` only those that were not there before. */
  draw(all) {
    const [first, last] = this.range();
    const from = Math.max(0, first - SPARE);
    const to = Math.min(this.count - 1, last + SPARE);
    const needed = to - from + 1;
    if (needed > this.pool.length) {
      // Every slot is a row's index modulo the number of slots, so more slots move all rows.
      all = true;
      while (this.pool.length < needed + SPARE) {
        const row = this.make();
        this.pool.push({ row, index: -1 });
        this.box.append(row);
      }
    }
    const wanted = new Set();
    for (let index = from; index <= to; index += 1) {
      const slot = this.pool[index % this.pool.length];
      wanted.add(slot);
      if (slot.index === index && !all) continue;
      if (slot.index !== index) {
        slot.index = index;
        slot.row.style.transform = `translateY(${index * this.height}px)`;
      }
      slot.row.hidden = false;
      this.fill(slot.row, index);
    }
    for (const slot of this.pool) {
      if (wanted.has(slot)) continue;
      slot.index = -1;
      slot.row.hidden = true;
    }
    if (this.count) this.seen(first, last);
  }

  /** Scroll as little as needed to have `index` in sight. */
  reveal(index) {
    const top = index * this.height + this.box.offsetTop;
    const { scrollTop, clientHeight } = this.scroller;
    const head = this.box.offsetTop;
    if (top < scrollTop + head) this.scroller.scrollTop = top - head;
    else if (top + this.height > scrollTop + clientHeight) {
      this.scroller.scrollTop = top + this.height - clientHeight;
    }
    this.draw(false);
  }

  /** Return how many rows fit. */
  get fitting() {
    return Math.max(1, Math.floor((this.scroller.clientHeight - this.box.offsetTop) / this.height) - 1);
  }

  close() {
    this.observer.disconnect();
  }
}
