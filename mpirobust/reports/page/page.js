"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const DASHES = ["", "8 3", "2 2.5", "11 3 2 3"];
  const LETTERS = "osm^DvPX<".length; // markers, see `mark`
  const MARKS = 5; // on a curve
  const TINTS = { light: [[18, 53, 91], [230, 235, 240]], dark: [[255, 205, 112], [44, 53, 63]] }; // of trimmed and of kept
  const AXES = { round: "round", bytes: "bytes sent, up and down", bytes_up: "bytes sent up", bytes_down: "bytes sent down", seconds: "seconds" };
  const hidden = new Set();
  let against = "round";
  let linear = false;

  // Elements. Texts are set as texts, never parsed: labels hold what is in plans and paths.
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  function svg(tag, attributes = {}, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // Numbers
  const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const power = (exponent) => "10" + [...String(exponent)].map((each) => SUPERSCRIPT[each]).join("");
  function number(value, digits = 4) {
    if (value === null || value === undefined || Number.isNaN(value)) return "none";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e");
    return String(Number(value.toPrecision(digits)));
  }
  function bytes(value) {
    let unit = 0;
    while (Math.abs(value) >= 999.5 && unit < 4) { value /= 1000; unit += 1; }
    return `${Number(value.toPrecision(3))} ${["", "k", "M", "G", "T"][unit]}B`;
  }
  const place = (axis, value) => (axis.startsWith("bytes") ? bytes(value) : axis === "seconds" ? `${number(value, 3)} s` : number(value, 7));

  // Scales
  const FORWARD = {
    linear: (value) => value,
    log: (value) => (value > 0 ? Math.log10(value) : NaN),
    symlog: (value, threshold) => Math.sign(value) * Math.log10(1 + Math.abs(value) / threshold),
  };
  function steps(least, most, wanted) {
    const raw = (most - least) / wanted || 1;
    const decade = 10 ** Math.floor(Math.log10(raw));
    const step = decade * [1, 2, 5, 10].find((each) => each * decade >= raw * 0.999);
    const found = [];
    for (let at = Math.ceil(least / step - 1e-9); at * step <= most + step * 1e-9; at += 1) found.push(Number((at * step).toPrecision(12)));
    return found;
  }
  function decades(least, most, wanted) {
    const [first, last] = [Math.ceil(Math.log10(least) - 1e-9), Math.floor(Math.log10(most) + 1e-9)];
    const stride = Math.max(1, Math.ceil((last - first + 1) / wanted));
    const found = [];
    for (let exponent = last; exponent >= first; exponent -= stride) found.unshift([10 ** exponent, power(exponent)]);
    if (found.length >= 2) return found;
    return [1, 2, 5].flatMap((digit) => [first - 1, first, last].map((exponent) => digit * 10 ** exponent))
      .filter((value, at, all) => value >= least && value <= most && all.indexOf(value) === at).map((value) => [value, number(value, 2)]);
  }
  function ticks(scale, least, most) {
    if (scale.name === "log") return decades(least, most, 6);
    if (scale.name === "linear") return steps(least, most, 5).map((value) => [value, number(value, 3)]);
    const upper = most > scale.threshold ? decades(scale.threshold, most, 3) : [];
    const lower = -least > scale.threshold ? decades(scale.threshold, -least, 3) : [];
    return [...lower.map(([value, text]) => [-value, "−" + text]), [0, "0"], ...upper];
  }

  // The look of a curve: hue, dashes and marker differ, as in the figures for print.
  const hue = (look) => `k${look % 7}`;
  function mark(look, x, y, size = 3.6) {
    const polygon = (points) => svg("polygon", { class: `mark ${hue(look)}`, points: points.map(([dx, dy]) => `${x + dx * size},${y + dy * size}`).join(" ") });
    const shape = look % LETTERS;
    if (shape === 0) return svg("circle", { class: `mark ${hue(look)}`, cx: x, cy: y, r: size * 0.9 });
    return polygon([
      [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
      [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
      [[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]],
      [[0, 1.2], [1.1, -0.9], [-1.1, -0.9]],
      [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]],
      [[-1.1, -1.1], [0, -0.4], [1.1, -1.1], [0.4, 0], [1.1, 1.1], [0, 0.4], [-1.1, 1.1], [-0.4, 0]],
      [[-1.2, 0], [0.9, -1.1], [0.9, 1.1]],
      [[1.2, 0], [-0.9, -1.1], [-0.9, 1.1]],
    ][shape - 1]);
  }
  const stroke = (look) => ({ class: `curve ${hue(look)}`, "stroke-dasharray": DASHES[look % DASHES.length] });
  function sample(look, width = 46, height = 14) {
    const middle = height / 2;
    return svg("svg", { class: "sample", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      svg("line", { ...stroke(look), x1: 1, x2: width - 1, y1: middle, y2: middle, "stroke-width": 2 }), mark(look, width / 2, middle));
  }

  // A chart: `spec()` returns { axis, scale, share, series: [{ name, look, x, middle, least, most }] } whenever it is drawn.
  const charts = [];
  function chart(host, title, spec) {
    const plot = element("div", { class: "plot", tabindex: "0", role: "group" });
    const spoken = element("p", { class: "hidden", "aria-live": "polite" });
    const tip = element("div", { class: "tip", "aria-hidden": "true" });
    tip.hidden = true;
    host.append(plot, spoken);
    let drawn = null; // what the pointer moves over
    let at = -1;

    function draw() {
      const { axis, scale, share, series } = spec();
      const shown = series.filter((each) => each.middle.some((value) => value !== null));
      const width = Math.max(260, plot.clientWidth || 600);
      const height = Math.round(Math.min(300, Math.max(200, width * 0.52)));
      plot.setAttribute("aria-label", `${title} against ${AXES[axis]}, ${shown.length} curves. Arrow keys read the values.`);
      const frame = { left: 52, right: width - 14, top: 8, bottom: height - 40 };
      const forward = (value) => FORWARD[scale.name](value, scale.threshold);
      const values = shown.flatMap((each) => [each.middle, each.least || [], each.most || []].flat()).filter((value) => value !== null && (scale.name !== "log" || value > 0));
      const all = shown.flatMap((each) => each.x.filter((value, index) => each.middle[index] !== null));
      let [low, high] = share ? [0, 1] : [Math.min(...values), Math.max(...values)];
      if (!values.length) { plot.replaceChildren(element("p", { class: "quiet" }, "Nothing to show.")); drawn = null; return; }
      if (low === high) [low, high] = scale.name === "log" ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
      const margin = share ? 0 : (forward(high) - forward(low)) * 0.04;
      const [bottom, top] = [forward(low) - margin, forward(high) + margin];
      const [first, last] = [Math.min(...all), Math.max(...all)];
      const X = (value) => frame.left + (last > first ? (value - first) / (last - first) : 0.5) * (frame.right - frame.left);
      const Y = (value) => frame.bottom - ((forward(value) - bottom) / (top - bottom)) * (frame.bottom - frame.top);
      const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      const taken = [];
      for (const [value, text] of ticks(scale, low, high).sort(([one], [other]) => (other === 0) - (one === 0))) {
        if (taken.some((y) => Math.abs(y - Y(value)) < 13)) continue; // its text would lie on another
        taken.push(Y(value));
        root.append(svg("line", { class: "grid", x1: frame.left, x2: frame.right, y1: Y(value), y2: Y(value) }));
        root.append(svg("text", { x: frame.left - 6, y: Y(value) + 4, "text-anchor": "end" }, text));
      }
      for (const value of last > first ? steps(first, last, width < 450 ? 4 : 5) : [first]) {
        if (axis === "round" && !Number.isInteger(value)) continue;
        root.append(svg("line", { class: "grid", x1: X(value), x2: X(value), y1: frame.top, y2: frame.bottom }));
        root.append(svg("text", { x: X(value), y: frame.bottom + 17, "text-anchor": "middle" }, axis.startsWith("bytes") ? bytes(value) : number(value, 6)));
      }
      root.append(svg("path", { class: "axis", d: `M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}` }));
      root.append(svg("text", { x: (frame.left + frame.right) / 2, y: height - 4, "text-anchor": "middle" }, AXES[axis]));
      shown.forEach((each, number) => root.append(...curve(each, number, shown.length, X, Y, first, last)));
      const cursor = svg("line", { class: "cursor", y1: frame.top, y2: frame.bottom, visibility: "hidden" });
      root.append(cursor);
      plot.replaceChildren(root, tip);
      drawn = { axis, shown, X, width, cursor, frame };
    }

    function curve(series, number, count, X, Y, first, last) {
      const { look, x, middle, least, most } = series;
      const parts = [];
      const points = x.map((value, index) => [X(value), middle[index] === null ? NaN : Y(middle[index]), index]);
      if (least) {
        const inside = points.filter(([, y, index]) => Number.isFinite(y) && least[index] !== null && most[index] !== null && Number.isFinite(Y(least[index])));
        const edge = (values) => inside.map(([px, , index]) => `${px.toFixed(1)} ${Y(values[index]).toFixed(1)}`);
        if (inside.length > 1) parts.push(svg("path", { class: `band ${hue(look)}`, d: `M${edge(most).join("L")}L${edge(least).reverse().join("L")}Z` }));
      }
      const there = points.filter(([, y]) => Number.isFinite(y));
      const d = there.map(([px, py], index) => `${index ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
      parts.push(svg("path", { ...stroke(look), d, "stroke-width": 2.4 - number / Math.max(1, count - 1) }));
      const wanted = there.length ? Array.from({ length: MARKS }, (_, index) => X(first + ((index + (number + 0.5) / count) / MARKS) * (last - first))) : [];
      const places = new Set(wanted.map((px) => there.reduce((best, point, index) => (Math.abs(point[0] - px) < Math.abs(there[best][0] - px) ? index : best), 0)));
      for (const index of places) parts.push(mark(look, there[index][0], there[index][1]));
      return parts;
    }

    function stops() {
      const every = drawn.shown.flatMap((each) => each.x.filter((_, index) => each.middle[index] !== null));
      return [...new Set(every)].sort((one, other) => one - other);
    }
    function point(index, speak) {
      if (!drawn) return;
      const all = stops();
      at = Math.min(all.length - 1, Math.max(0, index));
      const value = all[at];
      const rows = drawn.shown.map((each) => {
        let nearest = -1;
        each.x.forEach((x, number) => { if (x <= value && each.middle[number] !== null) nearest = number; });
        const spread = each.least && nearest >= 0 ? ` (${number(each.least[nearest], 3)} to ${number(each.most[nearest], 3)})` : "";
        return { each, text: nearest < 0 ? "none" : number(each.middle[nearest]), spread };
      });
      const heading = drawn.axis === "round" ? `round ${number(value, 7)}` : `${AXES[drawn.axis]}: ${place(drawn.axis, value)}`;
      tip.replaceChildren(element("div", {}, heading), ...rows.map(({ each, text }) => element("div", {}, sample(each.look, 30, 10), element("i", {}, each.name), element("b", {}, text))));
      tip.hidden = false;
      const x = drawn.X(value);
      const share = plot.clientWidth / drawn.width;
      if (x > drawn.width / 2) { tip.style.left = ""; tip.style.right = `${plot.clientWidth - x * share + 10}px`; }
      else { tip.style.right = ""; tip.style.left = `${x * share + 10}px`; }
      drawn.cursor.setAttribute("x1", x);
      drawn.cursor.setAttribute("x2", x);
      drawn.cursor.setAttribute("visibility", "visible");
      if (speak) spoken.textContent = `${heading}. ${rows.map(({ each, text, spread }) => `${each.name}: ${text}${spread}`).join("; ")}`;
    }
    function leave() {
      tip.hidden = true;
      if (drawn) drawn.cursor.setAttribute("visibility", "hidden");
    }
    plot.addEventListener("pointermove", (event) => {
      if (!drawn) return;
      const x = ((event.clientX - plot.getBoundingClientRect().left) / plot.clientWidth) * drawn.width;
      const all = stops();
      point(all.reduce((best, value, index) => (Math.abs(drawn.X(value) - x) < Math.abs(drawn.X(all[best]) - x) ? index : best), 0), false);
    });
    plot.addEventListener("pointerleave", leave);
    plot.addEventListener("blur", leave);
    plot.addEventListener("keydown", (event) => {
      if (!drawn) return;
      const last = stops().length - 1;
      const jump = Math.max(1, Math.round(last / 40));
      const next = { ArrowRight: at + jump, ArrowLeft: at - jump, Home: 0, End: last }[event.key];
      if (event.key === "Escape") leave();
      if (next === undefined) return;
      event.preventDefault();
      point(next, true);
    });
    charts.push(draw);
    draw();
    new ResizeObserver(() => { if (drawn && Math.abs(drawn.width - plot.clientWidth) > 1) draw(); }).observe(plot);
    return draw;
  }

  // The curves of the runs
  const colours = DATA.curves.map((curve, look) => ({ name: curve.label, look, curve }));
  const overlaid = [];
  for (const host of document.querySelectorAll("[data-metric]")) {
    const metric = host.dataset.metric;
    const scale = DATA.scales[metric];
    overlaid.push(chart(host, host.querySelector("h3").textContent, () => ({
      axis: against,
      scale: linear ? { name: "linear" } : scale,
      series: colours.filter(({ look, curve }) => !hidden.has(look) && curve.y[metric]).map(({ name, look, curve }) => ({ name, look, x: curve.x[against], ...curve.y[metric] })),
    })));
    host.append(...host.querySelectorAll("details")); // below the chart
  }
  const redraw = () => overlaid.forEach((draw) => draw());
  for (const input of document.querySelectorAll("[name=against]")) input.addEventListener("change", () => { against = input.value; redraw(); });
  for (const input of document.querySelectorAll("[name=scale]")) input.addEventListener("change", () => { linear = input.value === "linear"; redraw(); });
  document.querySelectorAll("[data-look]").forEach((host) => host.prepend(sample(Number(host.dataset.look))));
  const legend = document.getElementById("legend");
  for (const { name, look } of colours) {
    const button = element("button", { type: "button", "aria-pressed": "true" }, sample(look), name);
    button.addEventListener("click", () => {
      if (!hidden.delete(look)) hidden.add(look);
      button.setAttribute("aria-pressed", String(!hidden.has(look)));
      redraw();
    });
    legend.append(element("li", {}, button));
  }

  // The workers of one run
  const span = (ends, column) => {
    const first = column ? ends[column - 1] + 1 : 1;
    return first === ends[column] ? `round ${first}` : `rounds ${first} to ${ends[column]}`;
  };
  const whom = ([first, last, count]) => (count === 1 ? `worker ${first}` : `${count} workers, ${first} to ${last}`);
  const meaning = (cell) => (cell === "-" ? "absent" : cell === "X" ? "kept" : cell === "0" ? "trimmed" : `kept ${cell} of 10 times`);

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const tint = () => (dark.matches ? "dark" : "light");
  let painted = [];
  function paint(canvas, rows, scheme) {
    const context = canvas.getContext("2d");
    const [trimmed, kept] = TINTS[scheme];
    context.clearRect(0, 0, canvas.width, canvas.height);
    rows.forEach((row, y) => [...row].forEach((cell, x) => {
      if (cell === "-") return; // absent: the ground of the page
      const share = (cell === "X" ? 10 : Number(cell)) / 10;
      context.fillStyle = `rgb(${trimmed.map((low, part) => Math.round(low + share * (kept[part] - low))).join(" ")})`;
      context.fillRect(x, y, 1, 1);
    }));
  }
  dark.addEventListener("change", () => painted.forEach((again) => again(tint())));
  addEventListener("beforeprint", () => painted.forEach((again) => again("light")));
  addEventListener("afterprint", () => painted.forEach((again) => again(tint())));

  function cells(block, ends, high) {
    const [columns, rows] = [ends.length, block.cells.length];
    const canvas = element("canvas", { width: columns, height: rows, "aria-hidden": "true" });
    canvas.style.height = `${rows * high}px`;
    paint(canvas, block.cells, tint());
    painted.push((scheme) => paint(canvas, block.cells, scheme));
    const host = element("div", { class: "cells", tabindex: "0", role: "group", "aria-label": `${block.name} workers by round. Arrow keys read the cells; the table below has the shares.` });
    const spoken = element("p", { class: "hidden", "aria-live": "polite" });
    const box = element("div", { class: "at" });
    const tip = element("div", { class: "tip", "aria-hidden": "true" });
    box.hidden = tip.hidden = true;
    host.append(canvas, box, tip, spoken);
    let here = [-1, 0];
    function show(x, y, speak) {
      here = [Math.min(columns - 1, Math.max(0, x)), Math.min(rows - 1, Math.max(0, y))];
      const [wide, tall] = [canvas.clientWidth / columns, canvas.clientHeight / rows];
      Object.assign(box.style, { left: `${here[0] * wide}px`, top: `${here[1] * tall}px`, width: `${Math.max(4, wide)}px`, height: `${Math.max(4, tall)}px` });
      const text = `${whom(block.groups[here[1]])}, ${span(ends, here[0])}: ${meaning(block.cells[here[1]][here[0]])}`;
      tip.textContent = text;
      const right = here[0] > columns / 2;
      Object.assign(tip.style, { top: `${(here[1] + 1) * tall + 6}px`, left: right ? "" : `${here[0] * wide}px`, right: right ? `${(columns - here[0] - 1) * wide}px` : "" });
      box.hidden = tip.hidden = false;
      if (speak) spoken.textContent = text;
    }
    const leave = () => { box.hidden = tip.hidden = true; };
    host.addEventListener("pointermove", (event) => {
      const edge = canvas.getBoundingClientRect();
      show(Math.floor(((event.clientX - edge.left) / edge.width) * columns), Math.floor(((event.clientY - edge.top) / edge.height) * rows), false);
    });
    host.addEventListener("pointerleave", leave);
    host.addEventListener("blur", leave);
    host.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (event.key === "Escape") leave();
      if (!step) return;
      event.preventDefault();
      show(here[0] + step[0], here[1] + step[1], true);
    });
    return host;
  }

  function map(run) {
    const rows = run.blocks.reduce((sum, block) => sum + block.cells.length, 0);
    const high = Math.min(14, Math.max(2, Math.floor(420 / Math.max(1, rows))));
    const host = document.getElementById("map");
    painted = [];
    host.replaceChildren(...run.blocks.map((block) => {
      const count = block.groups.reduce((sum, group) => sum + group[2], 0);
      const guilty = block.name === "Byzantine";
      return element("div", { class: guilty ? "block guilty" : "block" }, element("h3", {}, `${guilty ? "▲ " : ""}${block.name} workers (${count})`), run.ends.length ? cells(block, run.ends, high) : "no rounds yet");
    }));
    if (run.ends.length) host.append(ruler(host, run.ends[run.ends.length - 1]));
    document.getElementById("thinned").textContent = run.whole
      ? "One cell for each worker and round."
      : `Downsampled to ${run.ends.length} × ${rows} cells: a cell is the share that was kept of the messages of some workers in some rounds. Byzantine and honest workers share no cell.`;
    const shares = run.blocks.flatMap((block) => block.groups.map((group, row) => [block.name, whom(group), block.kept[row]]));
    const body = element("tbody", {}, ...shares.map(([name, who, share]) => element("tr", {}, element("th", { scope: "row" }, `${who} (${name})`), element("td", {}, share === null ? "absent" : `${number(100 * share, 3)} %`))));
    document.getElementById("shares").replaceChildren(body);
  }
  function ruler(host, last) {
    const width = Math.max(200, host.clientWidth - 20);
    const root = svg("svg", { viewBox: `0 0 ${width} 34`, "aria-hidden": "true", width: "100%" });
    for (const value of [1, ...steps(1, last, 5).filter((each) => each > last / 12)]) {
      const x = Math.min(width - 4, 8 + ((value - 0.5) / last) * (width - 8));
      root.append(svg("line", { class: "axis", x1: x, x2: x, y1: 0, y2: 4 }), svg("text", { x, y: 16, "text-anchor": x > width - 30 ? "end" : "middle" }, String(value)));
    }
    root.append(svg("text", { x: width / 2, y: 31, "text-anchor": "middle" }, "round"));
    return root;
  }

  const choice = document.getElementById("run");
  if (choice) {
    let run = DATA.workers[0];
    const ratios = { precision: ["precision: Byzantine among the trimmed", 2], recall: ["recall: trimmed among the Byzantine", 3] };
    const redrawn = [
      chart(document.getElementById("ratios"), "Precision and recall", () => ({
        axis: "round", scale: { name: "linear" }, share: true,
        series: Object.entries(ratios).map(([key, [name, look]]) => ({ name, look, x: run.ends, middle: run[key] })),
      })),
      chart(document.getElementById("norms"), "Norms", () => ({
        axis: "round", scale: run.norm_scale,
        series: Object.entries(run.norms).map(([name, found]) => ({
          name: `${name}, median`, look: name === "honest" ? 2 : 3, x: run.ends, middle: found.map((each) => each[1]), least: found.map((each) => each[0]), most: found.map((each) => each[2]),
        })),
      })),
    ];
    const keys = [["ratios", Object.values(ratios)], ["norms", [["honest: median, and from a tenth to nine tenths of the workers", 2], ["Byzantine, likewise", 3]]]];
    for (const [id, entries] of keys) {
      document.getElementById(id).append(element("ul", { class: "legend" }, ...entries.map(([text, look]) => element("li", {}, element("span", { class: "entry" }, sample(look), text)))));
    }
    const select = () => {
      run = DATA.workers[Number(choice.value)];
      map(run);
      redrawn.forEach((draw) => draw());
    };
    choice.addEventListener("change", select);
    map(run);
  }
})();
