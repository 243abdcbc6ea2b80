"""Writes down what was found: report.md with its plots beside it, and report.html in one piece."""
import os
from html import escape

from . import svg
from .results import Table

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --paper: #fbfbfa; --line: #d8d8d4; --soft: #f0f0ec; --warn: #9a3b00; --link: #0b62c4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e4; --paper: #17181a; --line: #3a3b3d; --soft: #222426; --warn: #ffb27a; --link: #8ab8ff; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 72rem; margin: 0 auto; padding: 1rem 1.2rem 4rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
table { border-collapse: collapse; font-size: .86rem; display: block; overflow-x: auto; margin: .8rem 0;
        font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { background: var(--soft); } th.words, td.words { text-align: left; }
td.long { white-space: normal; min-width: 22rem; }
.facts td { white-space: normal; } a { color: var(--link); } tr.own td { font-weight: 600; } caption, .caption { font-size: .82rem; opacity: .8; text-align: left; }
svg { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
.warn { color: var(--warn); } pre { background: var(--soft); padding: .8rem; overflow-x: auto; font-size: .8rem; }
nav a { display: inline-block; margin-right: .8rem; } details { margin: .5rem 0; }
h2 code { font-size: .8em; opacity: .7; } .context { font-size: .82rem; opacity: .8; }
"""


def holds_words(table, column):
    """Whether a column is to be read from the left: it has a cell that isn't a figure."""
    cells = [row[column] for row in table.rows if row[column] not in ("–", "")]
    return column == 0 or not all(cell[0].isdigit() or cell[0] == "-" for cell in cells)


def markdown_table(table):
    rules = ["---" if holds_words(table, i) else "---:" for i in range(len(table.columns))]
    rows = [table.columns, rules, *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + (f"\n\n{table.caption}" if table.caption else "")


def html_table(table):
    words = [holds_words(table, i) for i in range(len(table.columns))]

    def cell(tag, i, text):
        kind = ("words" + (" long" if len(text) > 60 else "")) if words[i] else ""
        return f"<{tag}" + (f' class="{kind}"' if kind else "") + f">{escape(text)}</{tag}>"

    head = "".join(cell("th", i, name) for i, name in enumerate(table.columns))
    body = ""
    for row in table.rows:
        own = ' class="own"' if any(text.startswith("preforkd") for text in row[:2]) else ""
        body += f"<tr{own}>" + "".join(cell("td", i, text) for i, text in enumerate(row)) + "</tr>"
    caption = f'<p class="caption">{escape(table.caption)}</p>' if table.caption else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{caption}"


def facts_table(facts):
    rows = "".join(f'<tr><th class="words">{escape(name)}</th><td class="words">{escape(value)}</td></tr>'
                   for name, value in facts)
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


class Report:
    """`facts`: (name, value) pairs about the machine. `findings`: in the order in which they are shown."""

    def __init__(self, title, facts, findings, configurations, commands):
        self.title, self.facts, self.findings = title, facts, findings
        self.configurations, self.commands = configurations, commands

    def write(self, folder, name="report"):
        """Writes NAME.html, NAME.md and NAME-plots/ into `folder`; returns the two files' names."""
        plots = f"{name}-plots"
        os.makedirs(os.path.join(folder, plots), exist_ok=True)
        drawings = {part.name: svg.draw(part) for finding in self.findings for part in finding.parts
                    if not isinstance(part, Table)}
        for plot, drawing in drawings.items():
            self._save(os.path.join(folder, plots, plot + ".svg"), drawing)
        files = [os.path.join(folder, name + ".html"), os.path.join(folder, name + ".md")]
        self._save(files[0], self._html(drawings))
        self._save(files[1], self._markdown(plots))
        return files

    @staticmethod
    def _save(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def _markdown(self, plots):
        out = [f"# {self.title}", markdown_table(Table(["what", "value"], self.facts))]
        for finding in self.findings:
            out.append(f"## {finding.title}\n\n`bench/run {finding.name}`: {finding.about}")
            if finding.disturbed:
                out.append(f"**Disturbed:** {finding.noise}.")
            for part in finding.parts:
                out.append(markdown_table(part) if isinstance(part, Table) else
                           f"![{part.name}]({plots}/{part.name}.svg)")
            out.append("\n".join(f"- {note}" for note in [*finding.notes, context_of(finding)]))
        out.append("## Commands\n\n```\n" + "\n".join(self.commands) + "\n```")
        out.append("## Configurations")
        for name, command, text in self.configurations:
            out.append(f"### {name}\n\n`{command}`" + (f"\n\n```\n{text.rstrip()}\n```" if text else ""))
        return "\n\n".join(out) + "\n"

    def _html(self, drawings):
        navigation = " ".join(f'<a href="#{one.name}">{escape(one.title)}</a>' for one in self.findings)
        body = [f"<h1>{escape(self.title)}</h1>", facts_table(self.facts), f"<nav>{navigation}</nav>"]
        body += [html_finding(finding, drawings) for finding in self.findings]
        body.append("<h2>Commands</h2><pre>" + escape("\n".join(self.commands)) + "</pre><h2>Configurations</h2>")
        body += [f"<details><summary>{escape(name)}</summary><p><code>{escape(command)}</code></p>"
                 f"<pre>{escape(text)}</pre></details>" for name, command, text in self.configurations]
        return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                f"<title>{escape(self.title)}</title><style>{STYLE}</style></head><body>" + "\n".join(body)
                + "</body></html>\n")


def context_of(finding):
    """Where a finding comes from: time, commit, effort, noise."""
    words = [f"{key} {value}" for key, value in finding.context.items()]
    if finding.noise and not finding.disturbed:
        words.append(finding.noise)
    return "; ".join([*words, f"took {finding.seconds:.0f} s"]) + "."


def html_finding(finding, drawings):
    body = [f'<h2 id="{finding.name}">{escape(finding.title)}</h2>'
            f"<p><code>bench/run {finding.name}</code>: {escape(finding.about)}</p>"]
    if finding.disturbed:
        body.append(f'<p class="warn"><strong>Disturbed:</strong> {escape(finding.noise)}.</p>')
    body += [html_table(part) if isinstance(part, Table) else f"<p>{drawings[part.name]}</p>" for part in finding.parts]
    if finding.notes:
        body.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in finding.notes) + "</ul>")
    body.append(f'<p class="context">{escape(context_of(finding))}</p>')
    return "\n".join(body)
