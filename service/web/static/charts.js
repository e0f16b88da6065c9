// Draws every [data-chart]; the same numbers are always in a table beside it.
"use strict";
const COLOURS = ["--mark", "--second", "--ink", "--muted", "--bad"];
const SYMBOLS = ["circle", "diamond", "rect", "triangle", "emptyCircle"];
const DASHES = ["solid", "dashed", "solid", "dotted", "dashed"];

// A custom property holds light-dark(...); only a colour that is in use says which of the two it is.
function colour(name) {
  const probe = document.createElement("span");
  probe.className = "probe";
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function segments(lines, stroke) {
  return {
    symbol: "none", silent: true, animation: false, label: { show: false },
    lineStyle: { color: stroke, width: 2, type: "solid", opacity: 0.6 },
    data: lines.map(([from, to]) => [{ coord: from }, { coord: to }]),
  };
}

const shown = (value) => (value === null || value === undefined ? "" : value.toFixed(1));
const span = (point) => (point[0] === null ? shown(point[1]) : `${shown(point[1])}  [${shown(point[0])}, ${shown(point[2])}]`);

function base(ink, line) {
  const axis = {
    axisLine: { lineStyle: { color: line } }, axisTick: { show: false }, axisLabel: { color: ink },
    splitLine: { lineStyle: { color: line } }, nameTextStyle: { color: ink },
  };
  return {
    axis,
    option: {
      animation: false,
      aria: { enabled: true },
      textStyle: { fontFamily: getComputedStyle(document.documentElement).fontFamily },
      tooltip: {  // richText is drawn in the canvas: an HTML tooltip needs inline styles
        renderMode: "richText", confine: true, backgroundColor: colour("--raised"), borderColor: line,
        textStyle: { color: colour("--ink"), fontSize: 12 },
      },
    },
  };
}

// ECharts makes room for points only: an interval that leaves the axis would not be drawn at all.
function extent(data) {
  if (data.min !== undefined) return { min: data.min, max: data.max };
  const ends = data.series.flatMap((one) => one.points.flat()).filter((value) => value !== null);
  const reach = Math.ceil(Math.max(1, ...ends.map(Math.abs)) / 10) * 10;
  return { min: -reach, max: reach, interval: reach / 2 };
}

function intervals(data) {
  const ink = colour("--muted"), line = colour("--line"), { axis, option } = base(ink, line);
  const many = data.series.length > 1;
  const series = data.series.map((one, place) => {
    const stroke = colour(COLOURS[place]);
    return {
      name: one.name, type: "scatter", symbol: SYMBOLS[place], symbolSize: 10, z: 5 - place, itemStyle: { color: stroke },
      data: one.points.map((point, row) => ({ value: [point[1], row], label: span(point) })).filter((point) => point.value[0] !== null),
      markLine: segments(
        one.points.map((point, row) => [[point[0], row], [point[2], row]]).filter(([from]) => from[0] !== null), stroke),
      tooltip: { formatter: (at) => `${data.names[at.value[1]]}, ${one.name}\n${at.data.label}` },
    };
  });
  if (data.reference !== null && data.reference !== undefined) {
    series.push({
      type: "scatter", name: data.referenceName, data: [], itemStyle: { color: ink },
      markLine: {
        symbol: "none", silent: true, animation: false, data: [{ xAxis: data.reference }],
        lineStyle: { color: ink, type: "dotted", width: 1.5 },
        label: { formatter: data.referenceName, color: ink, position: "start" },
      },
    });
  }
  return {
    ...option, series,
    legend: many ? { data: data.series.map((one) => one.name), left: 0, top: 0, itemWidth: 14, itemHeight: 10, textStyle: { color: colour("--ink") } } : undefined,
    grid: { left: 8, right: 24, top: many ? 44 : 26, bottom: 30, containLabel: true },
    xAxis: { ...axis, type: "value", name: data.axis, nameLocation: "middle", nameGap: 24, ...extent(data) },
    yAxis: { ...axis, type: "category", data: data.names, inverse: true, splitLine: { show: false }, axisLabel: { color: colour("--ink") } },
  };
}

// After all colours are used once, each comes again with another symbol and dash.
const style = (place) => (place + Math.floor(place / COLOURS.length)) % COLOURS.length;

// Moves labels apart that would overlap, as little as possible, as svg.py does. Those below 0 would not be drawn.
function apart(heights, gap) {
  const groups = [];
  const middle = (places) => Math.max(places.reduce((sum, one) => sum + heights[one], 0) / places.length, (gap * (places.length - 1)) / 2);
  for (const place of heights.map((_, index) => index).sort((one, other) => heights[one] - heights[other])) {
    groups.push({ places: [place], middle: middle([place]) });
    for (let last = groups.length - 1; last > 0; last--) {
      const [low, high] = [groups[last - 1], groups[last]];
      if (high.middle - low.middle >= (gap * (low.places.length + high.places.length)) / 2) break;
      const places = [...low.places, ...high.places];
      groups.splice(last - 1, 2, { places, middle: middle(places) });
    }
  }
  const found = [];
  for (const group of groups) {
    group.places.forEach((place, number) => { found[place] = group.middle + gap * (number - (group.places.length - 1) / 2); });
  }
  return found;
}

// Lines of reference of what is shown, with their names in the margin at the right. 6 percent are a line of text.
function references(found, ends) {
  const heights = apart(found.map(({ points }) => points[points.length - 1][1]), 6);
  return found.flatMap(({ name, points, stroke }, place) => [{
    type: "line", symbol: "none", silent: true, z: 1, itemStyle: { color: stroke },
    lineStyle: { color: stroke, type: [1, 4], cap: "round", width: 2 },
    data: [[ends[0], points[0][1]], ...points, [ends[1], points[points.length - 1][1]]],
  }, {
    type: "scatter", symbolSize: 1, silent: true, itemStyle: { color: "transparent" }, data: [[ends[1], heights[place]]],
    label: { show: true, position: "right", distance: 8, formatter: name, color: stroke, fontSize: 12 },
  }]);
}

const curves = (found) => [`step ${found[0].value[0]}`, ...found.map((at) => `${at.seriesName}  ${Number(at.value[1].toPrecision(4))}`)].join("\n");

function lines(data) {
  const ink = colour("--muted"), line = colour("--line"), { axis, option } = base(ink, line);
  const steps = data.series.flatMap((one) => one.points.map((point) => point[0]));
  const ends = [data.from ?? Math.min(...steps), data.to ?? Math.max(...steps)];
  const found = data.series.flatMap((one, place) => (data.off.includes(one.name) ? [] : one.references || [])
    .map((line) => ({ ...line, stroke: colour(COLOURS[place % COLOURS.length]) })));
  found.push(...(data.references || []).map((line) => ({ ...line, stroke: ink })));
  const series = data.series.map((one, place) => {
    const stroke = colour(COLOURS[place % COLOURS.length]), look = style(place);
    return {
      name: one.name, type: "line", symbol: data.fits && one.points.length > 1 ? "none" : SYMBOLS[look], symbolSize: 8, itemStyle: { color: stroke },
      lineStyle: { color: stroke, type: DASHES[look], width: 1.5 }, z: 3,
      data: one.points.map((point) => ({ value: [point[0], point[2]], label: span(point.slice(1)) })),
      markLine: data.fits ? undefined : segments(one.points.map((point) => [[point[0], point[1]], [point[0], point[3]]]), stroke),
      tooltip: { formatter: (at) => `${one.name}, step ${at.value[0]}\n${at.data.label}` },
    };
  });
  return {
    ...option,
    tooltip: data.fits ? { ...option.tooltip, trigger: "axis", axisPointer: { animation: false, lineStyle: { color: line } }, formatter: curves }
      : { ...option.tooltip, trigger: "item" },
    legend: {  // `keys` are what people press
      show: false, selected: Object.fromEntries(data.series.map((one) => [one.name, !data.off.includes(one.name)])),
    },
    grid: { left: 52, right: 92, top: 16, bottom: 46 },
    xAxis: {
      ...axis, type: "value", name: data.x, nameLocation: "middle", nameGap: 24, min: ends[0],
      max: ends[1] > ends[0] ? ends[1] : ends[0] + 1, splitLine: { show: false }, axisLabel: { color: ink, hideOverlap: true },
    },
    yAxis: data.fits ? { ...axis, type: "value", scale: true, splitNumber: 3 }
      : { ...axis, type: "value", min: 0, max: 100, axisLabel: { color: ink, formatter: "{value} %" } },
    series: [...series, ...references(found, ends)],
  };
}

// The canvas has a legend for the mouse alone; buttons are for everyone.
function keys(data, draw) {
  const group = document.createElement("div");
  group.className = "keys";
  group.role = "group";
  group.ariaLabel = "Lines shown";
  data.series.forEach((one, place) => {
    const key = document.createElement("button");
    key.type = "button";
    key.className = `key key-${place % COLOURS.length} mark-${style(place)}`;
    key.textContent = one.name;
    const press = () => { key.ariaPressed = String(!data.off.includes(one.name)); };
    key.addEventListener("click", () => {
      data.off = data.off.includes(one.name) ? data.off.filter((name) => name !== one.name) : [...data.off, one.name];
      press();
      draw();
    });
    press();
    group.append(key);
  });
  return group;
}

const KINDS = { intervals, lines };
const charts = [...document.querySelectorAll("[data-chart]")].map((place) => {
  const data = JSON.parse(place.dataset.chart), label = place.getAttribute("aria-label");
  place.replaceChildren();
  const chart = echarts.init(place);
  const draw = () => {
    chart.setOption(KINDS[data.kind](data), true);
    place.setAttribute("aria-label", label);
  };
  draw();
  if (data.off) place.before(keys(data, draw));
  new ResizeObserver(() => chart.resize()).observe(place);
  return { chart, draw };
});
const redraw = () => charts.forEach(({ draw }) => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
matchMedia("print").addEventListener("change", redraw);
