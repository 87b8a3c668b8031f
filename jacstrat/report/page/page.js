"use strict";
// Without this script the page shows everything but all rows of the table of cases; with it plots answer to the pointer
// and the keyboard, strategies can be hidden, and the cases can be sorted and filtered.
(() => {
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  all(document, ".scripted").forEach((part) => { part.hidden = false; });
  // On paper nothing can be unfolded.
  window.addEventListener("beforeprint", () => all(document, "#answer details").forEach((part) => { part.open = true; }));

  // Plots: one tab at a time, strategies that can be hidden, values at the pointer.
  function panel(root) {
    const figures = all(root, ".fig"), tip = root.querySelector(".tip"), rest = root.querySelector(".key .all");
    const tabs = all(root, ".tabs button"), entries = all(root, ".entry");
    const show = (name) => {
      figures.forEach((figure) => figure.classList.toggle("on", figure.dataset.name === name));
      tabs.forEach((tab) => tab.setAttribute("aria-pressed", tab.dataset.name === name));
      all(root, ".key li").forEach((line) => { line.hidden = !line.dataset.in.split(" ").includes(name); });
      all(root, ".key small").forEach((remark) => { remark.hidden = remark.dataset.name !== name; });
      tip.textContent = "";
    };
    if (tabs.length > 1) {
      root.querySelector(".tabs").hidden = false;
      root.classList.add("tabbed");
      tabs.forEach((tab) => tab.addEventListener("click", () => show(tab.dataset.name)));
      show(tabs[0].dataset.name);
    }
    const set = (entry, on) => {
      entry.setAttribute("aria-pressed", on);
      all(root, `.s.k${entry.dataset.k}`).forEach((group) => group.classList.toggle("off", !on));
    };
    const faint = (k) => all(root, ".s").forEach((group) => {
      group.classList.toggle("faint", k !== null && !group.classList.contains(`k${k}`));
    });
    const hidden = () => entries.some((entry) => entry.getAttribute("aria-pressed") === "false");
    entries.forEach((entry) => {
      entry.disabled = false;
      entry.addEventListener("click", () => {
        set(entry, entry.getAttribute("aria-pressed") === "false");
        rest.hidden = !hidden();
        faint(null);
      });
      entry.addEventListener("pointerenter", () => { if (entry.getAttribute("aria-pressed") === "true") faint(entry.dataset.k); });
      entry.addEventListener("pointerleave", () => faint(null));
    });
    rest.addEventListener("click", () => { entries.forEach((entry) => set(entry, true)); rest.hidden = true; });
    all(root, "svg.plot").forEach((plot) => points(plot, tip));
  }

  function points(plot, tip) {
    // The words of a point move from its title, which a browser would show by itself as well, to a property.
    const marks = all(plot, "use.p").map((mark) => {
      const title = mark.querySelector("title");
      const words = title.textContent;
      title.remove();
      return { mark, words, x: +mark.getAttribute("x"), y: +mark.getAttribute("y"), group: mark.parentNode };
    });
    let at = null;
    const choose = (point) => {
      if (at) at.mark.classList.remove("at");
      at = point;
      if (at) at.mark.classList.add("at");
      tip.textContent = at ? at.words : "";
    };
    const seen = () => marks.filter((point) => !point.group.classList.contains("off"));
    plot.addEventListener("pointermove", (event) => {
      const matrix = plot.getScreenCTM();
      if (!matrix) return;
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
      let best = null, least = 40 ** 2;
      for (const point of seen()) {
        const distance = (point.x - place.x) ** 2 + (point.y - place.y) ** 2;
        if (distance < least) { best = point; least = distance; }
      }
      choose(best);
    });
    plot.addEventListener("pointerleave", () => choose(null));
    plot.addEventListener("blur", () => choose(null));
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const list = seen();
      if (!step || !list.length) return;
      event.preventDefault();
      if (!at || !list.includes(at)) { choose(list[0]); return; }
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        const own = list.filter((point) => point.group === at.group);
        choose(own[Math.min(Math.max(own.indexOf(at) + step, 0), own.length - 1)]);
      } else {
        const groups = [...new Set(list.map((point) => point.group))];
        const next = groups[(groups.indexOf(at.group) + step + groups.length) % groups.length];
        const own = list.filter((point) => point.group === next);
        choose(own.reduce((best, point) => (Math.abs(point.x - at.x) < Math.abs(best.x - at.x) ? point : best)));
      }
    });
  }
  all(document, ".panel").forEach(panel);
  all(document, ".card").forEach((card) => points(card.querySelector("svg.plot"), card.querySelector(".tip")));

  // Numbers as jacstrat.report.analysis.units writes them.
  const general = (value, digits) => {
    if (value === 0) return "0";
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    const bare = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    const power = +exponent;
    if (power >= -4 && power < digits) return bare(value.toFixed(Math.max(digits - 1 - power, 0)));
    return `${bare(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  };
  const three = (value) => {
    const size = Math.abs(value);
    if (size === 0 || size < 0.1 || size >= 999999.5) return general(value, 3);
    const decimals = [[3, 1], [2, 10], [1, 100]].find(([d, limit]) => +size.toFixed(d) < limit);
    return value.toFixed(decimals ? decimals[0] : 0);
  };
  const scaled = (value, units, base) => {
    let unit = 0;
    while (unit < units.length - 1 && +three(Math.abs(value)) >= base) { value /= base; unit += 1; }
    return [value, units[unit]];
  };
  const formats = {
    count: String,
    seconds: (value) => {
      if (value === 0) return "0 s";
      const [number, unit] = scaled(value * 1e9, ["ns", "µs", "ms", "s"], 1000);
      return `${three(number)} ${unit}`;
    },
    bytes: (value) => {
      const [number, unit] = scaled(value, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
      return unit === "B" ? `${number.toFixed(0)} B` : `${three(number)} ${unit}`;
    },
    ratio: three,
    factor: (value) => `${three(value)}×`,
    percent: (value) => `±${(value * 100).toFixed(1)}%`,
    error: (value) => {
      if (value === 0 || (value >= 0.01 && value < 100)) return general(value, 2);
      const [mantissa, exponent] = value.toExponential(1).split("e");
      return `${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
    },
  };

  // The cases: all rows are data, of which one page at a time is in the document.
  const source = document.getElementById("data");
  if (!source) return;
  const { columns, rows: count, page } = JSON.parse(source.textContent);
  const table = document.getElementById("table"), body = table.tBodies[0], shown = document.getElementById("shown");
  const form = document.querySelector(".filters"), pager = document.querySelector(".pager");
  const [back, on] = all(pager, "button"), where = pager.querySelector("span"), told = shown.textContent;
  const value = (column, row) => {
    const found = column.values[row];
    if (column.texts) return column.texts[found];
    return found === "inf" ? Infinity : found;
  };
  const text = (column, row) => {
    const found = value(column, row);
    if (found === null || column.texts) return found ?? "";
    return found === Infinity ? "inf" : formats[column.kind](found);
  };
  const named = (title) => columns.findIndex((column) => column.title === title);
  const status = columns[named("status")];
  let order = [...Array(count).keys()], first = 0, sorted = null;

  const heads = all(table, "thead th");
  heads.forEach((head, i) => {
    const button = make("button", head.textContent);
    button.type = "button";
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sorted = { column: columns[i], sign: down ? -1 : 1 };
      update();
    });
  });

  function update() {
    const wanted = all(form, "select").filter((select) => select.value).map((select) => [columns[named(select.dataset.filter)], select.value]);
    const words = form.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
    order = [];
    for (let row = 0; row < count; row += 1) {
      if (!wanted.every(([column, name]) => value(column, row) === name)) continue;
      if (words.length) {
        const line = columns.map((column) => (column.texts ? value(column, row) : text(column, row))).join(" ").toLowerCase();
        if (!words.every((word) => line.includes(word))) continue;
      }
      order.push(row);
    }
    if (sorted) {
      const { column, sign } = sorted;
      order.sort((a, b) => {
        const [x, y] = [value(column, a), value(column, b)];
        const none = (each) => each === null || each === "";
        if (none(x) || none(y)) return none(x) - none(y) || a - b; // what was not measured stays at the end
        if (x === y) return a - b;
        return sign * (column.texts ? x.localeCompare(y, "en", { numeric: true }) : x < y ? -1 : 1);
      });
    }
    first = 0;
    draw();
  }

  function draw() {
    const rows = order.slice(first, first + page).map((row) => {
      const line = document.createElement("tr");
      const how = value(status, row);
      if (how !== "ok") line.className = how === "wrong" ? "bad" : "dim";
      columns.forEach((column) => {
        const cell = make("td", text(column, row));
        cell.dataset.label = column.title;
        cell.className = (column.texts ? "" : "num") + (cell.textContent ? "" : " empty");
        line.append(cell);
      });
      return line;
    });
    body.replaceChildren(...rows);
    pager.hidden = order.length <= page;
    where.textContent = `${first + 1} to ${Math.min(first + page, order.length)} of ${order.length}`;
    back.disabled = first === 0;
    on.disabled = first + page >= order.length;
    shown.textContent = order.length === count ? told.replace(/, the first \d+.*$/, "") : `${order.length} of ${count} cases`;
  }
  all(pager, "button").forEach((button) => button.addEventListener("click", () => {
    first += page * button.dataset.step;
    draw();
    table.scrollIntoView({ block: "nearest" });
  }));
  form.hidden = false;
  form.addEventListener("input", update);
  form.addEventListener("reset", () => setTimeout(update));
  form.addEventListener("submit", (event) => event.preventDefault());
  draw();
})();
