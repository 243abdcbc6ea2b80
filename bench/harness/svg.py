"""Plots as self-contained SVG: bars with their spread, lines, and time lines of failures."""
import math
from html import escape

WIDTH, LEFT, RIGHT, TOP = 760, 64, 24, 46
FAMILY = {"preforkd": "#0b62c4", "nginx": "#2e8b3d", "haproxy": "#b5651d", "h2o": "#7a4fb5", "lighttpd": "#c2367a",
          "apache2": "#b3261e", "redis": "#a33", "floor": "#777777", "asio_echo": "#2a8c8c", "wrk": "#444444",
          "load": "#0b62c4"}
DASHES = ("", "7 4", "2 3", "9 3 2 3")
FAILURE = {"refused": "#7a0000", "reset": "#d0271d", "end_of_stream": "#e8710a", "truncated": "#8a2be2",
           "timeout": "#555555", "bad_status": "#b58900", "wrong_content": "#008080", "stale_generation": "#006400",
           "unanswered": "#c71585", "no_connection": "#000000"}


def draw(plot):
    """The picture of a results.Plot."""
    if not (plot.arguments.get("rows") or any(plot.arguments.get("series", {}).values())):
        return canvas(plot.arguments["title"], 80, [text(16, 56, "nothing was measured")])
    return {"bars": bars, "lines": lines, "storm": storm}[plot.kind](**plot.arguments)


def colour(label):
    return FAMILY.get(label.split()[0], "#333333")


def dashes(labels):
    """A line style for each label, so that variants of one server differ."""
    seen, styles = {}, {}
    for label in labels:
        family = label.split()[0]
        styles[label] = DASHES[seen.get(family, 0) % len(DASHES)]
        seen[family] = seen.get(family, 0) + 1
    return styles


def text(x, y, words, anchor="start", size=12, weight="normal", fill="#222222", extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
            f'fill="{fill}" {extra}>{escape(str(words))}</text>')


def line(x1, y1, x2, y2, stroke="#d5d5d5", width=1.0, extra=""):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
            f'stroke-width="{width}" {extra}/>')


def canvas(title, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif">'
            f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>'
            + text(16, 24, title, size=15, weight="600") + "".join(parts) + "</svg>")


def tidy(value):
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        for unit, scale in (("M", 1e6), ("k", 1e3)):
            if abs(value) >= scale:
                return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"


def linear_ticks(top, count=5):
    step = 10 ** math.floor(math.log10(top / count)) if top > 0 else 1
    for factor in (1, 2, 2.5, 5, 10):
        if top / (step * factor) <= count:
            step *= factor
            break
    return [step * i for i in range(int(top / step + 1e-9) + 1)]


def log_ticks(low, high):
    """1, 2 and 5 times the powers of ten in [low, high]."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [digit * 10.0 ** power for power in powers for digit in (1, 2, 5)
            if low * 0.999999 <= digit * 10.0 ** power <= high * 1.000001]


class Axis:
    """Maps values to positions, linearly or by their logarithm."""

    def __init__(self, low, high, begin, end, log=False):
        self.log, self.begin, self.end = log, begin, end
        if log:
            low = max(low, 1e-9)
            low = max(tick for tick in log_ticks(low / 10, low))
            high = min(tick for tick in log_ticks(high, high * 10) if tick > low)
        self.low, self.high = low, high if high > low else low + 1

    def at(self, value):
        if self.log:
            share = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self):
        if not self.log:
            return [tick for tick in linear_ticks(self.high) if tick >= self.low]
        ticks = log_ticks(self.low, self.high)
        return ticks if len(ticks) <= 9 else [tick for tick in ticks if f"{tick:e}".startswith("1.0")]


def bars(title, unit, rows):
    """rows: (label, median, low, high). Horizontal bars with the spread over the rounds. A bar that would
    make all others small is cut and says so."""
    row_height, label_width = 30, 190
    height = TOP + row_height * len(rows) + 40
    axis = Axis(0, bars_end(rows), label_width, WIDTH - 90)
    bottom = height - 34
    parts = []
    for tick in axis.ticks():
        parts += [line(axis.at(tick), TOP - 6, axis.at(tick), bottom),
                  text(axis.at(tick), bottom + 14, tidy(tick), "middle", 11, fill="#555555")]
    parts.append(text((label_width + WIDTH - 90) / 2, height - 6, unit, "middle", 11, fill="#555555"))
    for number, row in enumerate(rows):
        parts += bar(axis, label_width, TOP + number * row_height, *row)
    return canvas(title, height, parts)


def bars_end(rows):
    """Where the axis of bars ends: beyond the longest, but if that is more than twice the second."""
    ends = sorted((high for *_, high in rows), reverse=True)
    return 1.12 * (ends[1] * 1.4 if len(ends) > 1 and ends[0] > 2 * ends[1] else ends[0])


def bar(axis, left, y, label, median, low, high):
    middle, cut = y + 10, median > axis.high
    end = axis.at(min(median, axis.high))
    parts = [text(left - 8, middle + 4, label, "end", 12),
             f'<rect x="{left}" y="{y}" width="{max(end - left, 1):.1f}" height="20" fill="{colour(label)}" '
             f'fill-opacity="0.82"/>']
    if cut:
        parts += [line(end - at, y - 2, end - at - 8, y + 22, "#ffffff", 3) for at in (14, 22)]
        return parts + [text(end + 6, middle + 4, tidy(median) + " (cut)", size=12, weight="600")]
    last = min(high, axis.high)
    parts += [line(axis.at(low), middle, axis.at(last), middle, "#111111", 1.4)]
    parts += [line(axis.at(at), middle - 4, axis.at(at), middle + 4, "#111111", 1.4) for at in (low, last)]
    return parts + [text(axis.at(last) + 6, middle + 4, tidy(median), size=12, weight="600")]


def legend(labels, y):
    parts, x, styles = [], LEFT, dashes(labels)
    for label in labels:
        width = 40 + 7 * len(label)
        if x + width > WIDTH - RIGHT:
            x, y = LEFT, y + 18
        parts += [line(x, y - 4, x + 24, y - 4, colour(label), 2.4, f'stroke-dasharray="{styles[label]}"'),
                  text(x + 30, y, label, size=12)]
        x += width + 8
    return parts, y


def lines(title, x_name, y_name, series, log_x=True, log_y=True, x_labels=None):
    """series: label -> [(x, y)]. `x_labels`: [(x, words)] in place of numbers."""
    series = {label: points for label, points in series.items() if points}
    keys, below = legend(list(series), TOP + 2)
    top, height = below + 16, below + 330
    bottom = height - 48
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_axis = Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT, log_x)
    y_axis = Axis(min(ys) if log_y else 0, max(ys) * 1.05, bottom, top, log_y)
    parts = keys
    for tick in y_axis.ticks():
        parts += [line(LEFT, y_axis.at(tick), WIDTH - RIGHT, y_axis.at(tick)),
                  text(LEFT - 6, y_axis.at(tick) + 4, tidy(tick), "end", 11, fill="#555555")]
    for tick, words in x_labels or [(tick, tidy(tick)) for tick in x_axis.ticks()]:
        parts += [line(x_axis.at(tick), top, x_axis.at(tick), bottom),
                  text(x_axis.at(tick), bottom + 16, words, "middle", 11, fill="#555555")]
    styles = dashes(series)
    for label, points in series.items():
        path = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour(label)}" stroke-width="2.2" '
                     f'stroke-dasharray="{styles[label]}"/>')
        parts += [f'<circle cx="{x_axis.at(x):.1f}" cy="{y_axis.at(y):.1f}" r="2.8" fill="{colour(label)}"/>'
                  for x, y in points]
    parts += [text((LEFT + WIDTH - RIGHT) / 2, height - 10, x_name, "middle", 12),
              text(16, (top + bottom) / 2, y_name, "middle", 12,
                   extra=f'transform="rotate(-90 16 {(top + bottom) / 2:.1f})"')]
    return canvas(title, height, parts)


def storm(title, rows):
    """rows: (label, result of load). Requests answered over time, each failure and each signal."""
    row_height = 104
    height = TOP + row_height * len(rows) + 56
    seconds = max(result["seconds"] for _, result in rows)
    x_axis = Axis(0, seconds, LEFT + 96, WIDTH - RIGHT)
    most = max(slice_["answered"] for _, result in rows for slice_ in result["slices"]) or 1
    parts, kinds = [], []
    for number, (label, result) in enumerate(rows):
        top, bottom = TOP + number * row_height + 8, TOP + (number + 1) * row_height - 18
        length = result["slice_seconds"]
        y_axis = Axis(0, most, bottom, top)
        parts += [text(12, top + 14, label, size=12, weight="600"),
                  text(12, top + 32, f"{result['failed']:,} failed", size=12,
                       fill="#b3261e" if result["failed"] else "#2e7d32"),
                  text(12, top + 49, f"of {result['answered'] + result['failed']:,}", size=11, fill="#555555")]
        parts += [line(x_axis.at(at), top, x_axis.at(at), bottom + 4, "#9ec3ee", 1) for at in
                  result["signals_at_seconds"]]
        answered = [one["answered"] for one in result["slices"]]
        answered += [0] * (int(result["seconds"] / length) - len(answered))  # no slice is begun without an event
        points = [(x_axis.at(min(i * length, seconds)), y_axis.at(count))
                  for i, count in enumerate(answered) if i * length < seconds]
        parts.append('<polyline points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                     + f'" fill="none" stroke="{colour(label)}" stroke-width="1.3"/>')
        for i, one in enumerate(result["slices"]):
            for kind in FAILURE:
                if one.get(kind):
                    kinds += [kind] if kind not in kinds else []
                    size = 2.5 + math.log10(one[kind] + 1) * 2.2
                    parts.append(f'<circle cx="{x_axis.at(min(i * length, seconds)):.1f}" cy="{bottom:.1f}" r="{size:.1f}" '
                                 f'fill="{FAILURE[kind]}" fill-opacity="0.75"><title>{one[kind]} {kind}</title></circle>')
        parts.append(line(LEFT + 96, bottom, WIDTH - RIGHT, bottom, "#777777"))
    bottom = height - 40
    for tick in x_axis.ticks():
        parts.append(text(x_axis.at(tick), bottom, f"{tick:g} s", "middle", 11, fill="#555555"))
    x = 16
    parts += [line(x, height - 14, x + 22, height - 14, "#9ec3ee", 2), text(x + 28, height - 10, "signal", size=11)]
    x += 84
    for kind in kinds:
        parts += [f'<circle cx="{x}" cy="{height - 14}" r="5" fill="{FAILURE[kind]}"/>',
                  text(x + 10, height - 10, kind.replace("_", " "), size=11)]
        x += 34 + 7 * len(kind)
    parts.append(text(WIDTH - RIGHT, height - 10, f"line: answers in each {rows[0][1]['slice_seconds']:g} s, "
                      f"up to {most:,}; dots: failures", "end", 11, fill="#555555"))
    return canvas(title, height, parts)
