#include "worker/services/status_page.hpp"

namespace preforkd::worker {

std::string_view status_page_style() noexcept {
    return R"css(
:root { color-scheme: light dark; --ink: #1d2127; --soft: #5c6470; --line: #d9dde3; --card: #f5f6f8;
  --back: #fff; --ok: #16794c; --bad: #b3261e; --mark: #8a5cf6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3af; --line: #343a42;
  --card: #1e2228; --back: #14171a; --ok: #4cc38a; --bad: #ff8b82; --mark: #a78bfa; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
h1 { margin: 0; font-size: 1.5rem; } h1 small { color: var(--soft); font-weight: 400; }
h2 { margin: 1.6rem 0 .4rem; font-size: 1rem; }
header p { margin: .3rem 0 0; color: var(--soft); }
.badge { padding: .1rem .5rem; border-radius: 1rem; background: var(--card); color: var(--ink);
  border: 1px solid var(--line); }
.badge.running { color: var(--ok); border-color: var(--ok); }
.badge.stopping { color: var(--bad); border-color: var(--bad); }
#stale { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem;
  margin: 1rem 0; }
.card { background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
.card dt { color: var(--soft); font-size: .85rem; } .card dd { margin: 0; font-size: 1.45rem; }
#plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr));
  gap: 1rem; }
#plots[hidden] { display: none; }
figure { margin: 0; background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }
figcaption { color: var(--soft); font-size: .85rem; } figcaption b { color: var(--ink); }
svg { width: 100%; height: 9rem; display: block; }
svg line { stroke: var(--line); vector-effect: non-scaling-stroke; }
svg .mark { stroke: var(--mark); stroke-dasharray: 3 3; }
svg polyline { fill: none; stroke-width: 1.8; vector-effect: non-scaling-stroke; }
.legend { display: flex; flex-wrap: wrap; gap: 0 .9rem; font-size: .8rem; color: var(--soft);
  min-height: 1.2rem; }
.legend i { display: inline-block; width: .7rem; height: .2rem; margin-right: .3rem;
  vertical-align: middle; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; white-space: nowrap; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; font-size: .85rem; }
td:last-child { white-space: normal; }
td.ok { color: var(--ok); } td.bad { color: var(--bad); }
footer { margin: 2rem 0 1rem; display: flex; gap: 1rem; } a { color: inherit; }
)css";
}

std::string_view status_page_script() noexcept {
    return R"js(
"use strict";
const $ = id => document.getElementById(id);
const most = 300, points = [], marks = [];
let last = null;
const time = s => s < 120 ? Math.round(s) + " s" : s < 7200 ? Math.round(s / 60) + " min"
  : s < 172800 ? (s / 3600).toFixed(1) + " h" : (s / 86400).toFixed(1) + " d";
const ms = s => s === null ? "–" : Number((s * 1000).toPrecision(3)) + " ms";
// A worker tells its memory once a second at most, and not before its first client.
const mib = b => b ? (b / 1048576).toFixed(1) + " MiB" : "–";
const count = n => n >= 100 ? Math.round(n) : Number(n.toPrecision(2));
const colour = i => `hsl(${(i * 137 + 210) % 360} 65% 55%)`;
// Only ever as text: nothing in the numbers' names can become markup.
function rows(id, list) {
  $(id).replaceChildren(...list.map(cells => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const field = document.createElement("td");
      const [text, kind] = Array.isArray(cell) ? cell : [cell, ""];
      field.textContent = text;
      if (kind) field.className = kind;
      row.append(field);
    }
    return row;
  }));
}
// How many requests took how long between two readings.
function recent(now, before) {
  const old = new Map(before ? before.durations : []);
  return now.durations.map(([end, n]) => [end, Math.max(0, n - (old.get(end) || 0))]);
}
function percentile(buckets, share) {
  const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
  const all = sorted.reduce((sum, [, n]) => sum + n, 0);
  let seen = 0;
  for (const [end, n] of sorted) if ((seen += n) >= share * all && all > 0) return end;
  return null;
}
function plot(id, series, format) {
  const svg = $(id), width = 600, height = 160;
  const top = Math.max(1e-9, ...series.flatMap(s => s.values.filter(v => v !== null)));
  const make = (name, fields) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(fields)) node.setAttribute(key, value);
    return node;
  };
  // A minute at first, then as long as there is something to show.
  const x = i => width - (points.length - 1 - i) * width / Math.max(59, points.length - 1);
  const nodes = [0.25, 0.5, 0.75, 1].map(part => make("line",
    {x1: 0, x2: width, y1: height - part * (height - 8), y2: height - part * (height - 8)}));
  for (const mark of marks) {
    const i = points.findIndex(p => p.at >= mark.at);
    if (i >= 0) nodes.push(make("line", {class: "mark", x1: x(i), x2: x(i), y1: 0, y2: height}));
  }
  for (const s of series) {
    let piece = [];
    const draw = () => {
      if (piece.length) nodes.push(make("polyline", {points: piece.join(" "), stroke: s.colour}));
      piece = [];
    };
    s.values.forEach((v, i) => v === null ? draw()
      : piece.push(`${x(i).toFixed(1)},${(height - v / top * (height - 8)).toFixed(1)}`));
    draw();
  }
  svg.replaceChildren(...nodes);
  $(id + "-now").textContent = "to " + format(top);
  $(id + "-legend").replaceChildren(...series.map(s => {
    const entry = document.createElement("span"), key = document.createElement("i");
    key.style.background = s.colour;
    const now = s.values[s.values.length - 1];
    entry.append(key, s.name + " " + (now === null ? "–" : format(now)));
    return entry;
  }));
}
function perWorker(field, limit) {
  const slots = [...new Set(points.flatMap(p => [...p.workers.keys()]))].sort();
  return slots.slice(0, limit).map((slot, i) => ({name: slot, colour: colour(i),
    values: points.map(p => p.workers.has(slot) ? p.workers.get(slot)[field] : null)
      .map(v => v === 0 && field === "memory_bytes" ? null : v)}));
}
function show(now) {
  const seconds = last ? Math.max(0.001, now.uptime - last.uptime) : 1;
  const before = new Map(last ? last.listeners.map(l => [l.name, l]) : []);
  const all = [];
  let requests = 0, active = 0;
  rows("listeners", now.listeners.filter(l => l.in_service || l.active).map(l => {
    const old = before.get(l.name), mine = recent(l, old || l);
    const rate = old ? Math.max(0, l.requests - old.requests) / seconds : 0;
    all.push(...mine); requests += rate; active += l.active;
    return [l.name, l.in_service ? l.addresses : "(leaving)", l.service, l.workers, l.active,
      l.requests, count(rate), ms(percentile(mine, .5)), ms(percentile(mine, .99)),
      l.failures + l.responses["5xx"]];
  }));
  rows("workers", now.workers.map(w => [w.slot, w.pid, w.generation,
    [w.state + (w.closes_in === null ? "" : ", closed in " + time(Math.max(0, w.closes_in))),
      w.state === "serving" ? "ok" : w.state === "hung" ? "bad" : ""],
    w.active, w.requests, mib(w.memory_bytes), time(w.uptime)]));
  rows("history", now.verdicts.map(v => [new Date(v.time * 1000).toLocaleString(), v.kind,
    [v.accepted ? "ok" : "refused", v.accepted ? "ok" : "bad"], v.generation, v.text]));
  rows("exits", Object.entries(now.exits));
  const half = percentile(all, .5), most99 = percentile(all, .99);
  $("rate-title").textContent = "Requests per second";
  $("rate").textContent = count(requests);
  $("p50").textContent = ms(half);
  $("p99").textContent = ms(most99);
  $("active").textContent = active;
  $("serving").textContent = now.workers.filter(w => w.state === "serving").length;
  $("generation").textContent = now.generation;
  $("pid").textContent = now.pid;
  $("uptime").textContent = time(now.uptime);
  $("state").textContent = now.state;
  $("state").className = "badge " + now.state;
  const at = Date.now();
  if (last && last.generation !== now.generation) marks.push({at});
  if (last) {
    const workers = new Map();
    for (const w of now.workers)
      if (w.state !== "draining" || !workers.has(w.slot)) workers.set(w.slot, w);
    points.push({at, rate: requests, p50: half, p99: most99, p90: percentile(all, .9), workers});
    if (points.length > most) points.shift();
    const line = (name, field, i) => ({name, colour: colour(i), values: points.map(p => p[field])});
    plot("plot-rate", [line("all listeners", "rate", 0)], count);
    plot("plot-latency", [line("p50", "p50", 0), line("p90", "p90", 1), line("p99", "p99", 2)], ms);
    plot("plot-active", perWorker("active", 16), count);
    plot("plot-memory", perWorker("memory_bytes", 16), mib);
  }
  last = now;
}
async function renew() {
  try {
    const answer = await fetch("/status.json", {cache: "no-store"});
    if (!answer.ok) throw new Error("status " + answer.status);
    show(await answer.json());
    $("stale").textContent = "";
    $("plots").hidden = false;
  } catch (error) {
    $("stale").textContent = "no answer since " + new Date().toLocaleTimeString() +
      "; this page goes on asking";
  }
  setTimeout(renew, 1000);
}
renew();
)js";
}

}  // namespace preforkd::worker
