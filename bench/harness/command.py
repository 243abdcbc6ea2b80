"""The command line of bench/run."""
import argparse
import datetime
import os
import signal
import subprocess
import sys
import time

from . import (cases_cost, cases_curves, cases_latency, cases_inside, cases_slow, cases_daemon,  # noqa: F401
               cases_storm, cases_faults, cases_embed, cases_board)  # in the order of the report
from . import build, install, machine, paths
from .cases import CASES, FULL, QUICK, Bench, run_case
from .client import ClientError, Clients
from .report import Report
from .results import Finding, Table
from .servers import Fleet, ServerError
from .store import Store, StoreError

HOME = os.path.dirname(paths.BENCH)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="bench/run", description="Compares preforkd with the servers that people know, honestly, on this machine.",
        epilog="cases:\n" + "\n".join(f"  {one.name:18}{one.title}{' (also in --quick)' if one.in_quick else ''}"
                                      for one in CASES.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only these cases; default: all")
    parser.add_argument("--quick", action="store_true", help="the most telling cases, in under three minutes")
    parser.add_argument("--only", metavar="SERVER,...", default="", help="only these servers")
    parser.add_argument("--rounds", type=int, help="rounds of each series (5; quick 3)")
    parser.add_argument("--seconds", type=float, help="seconds of each sample (1.0; quick 0.5)")
    parser.add_argument("--storm-seconds", type=int, help="seconds of each storm (8; quick 3)")
    parser.add_argument("--build", default=os.path.join(HOME, "build"), metavar="FOLDER", help="where we are built")
    parser.add_argument("--into", metavar="FOLDER", help="add to the results in this folder, instead of beginning anew in "
                        "bench/: so a whole run can be put together from pieces")
    parser.add_argument("--name", default="report", help="the report's file name (report)")
    parser.add_argument("--report", metavar="FOLDER", help="only write the report anew from the results in this folder")
    parser.add_argument("--install-peers", action="store_true", help="get the other servers from Debian, and end")
    parser.add_argument("--list", action="store_true", help="name the cases, and end")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.cases if name not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; --list names them")
    return arguments


def plan_of(arguments):
    plan = QUICK if arguments.quick else FULL
    given = {name: value for name, value in (("rounds", arguments.rounds), ("seconds", arguments.seconds),
                                             ("storm_seconds", arguments.storm_seconds)) if value}
    return type(plan)(**{**vars(plan), **given})


def progress_on(stream):
    if not stream.isatty():
        return lambda words: None
    return lambda words: print(f"\r\033[K  {words}", end="", file=stream, flush=True)


class Session:
    """Runs cases one after the other and keeps what each has found."""

    def __init__(self, arguments, store, programs):
        self.plan, self.store, self.programs = plan_of(arguments), store, programs
        self.cores = machine.choose_cores()
        self.workspace = paths.Workspace()
        self.fleet = Fleet(self.workspace, programs, self.cores)
        self.clients = Clients(programs, self.cores)
        self.bench = Bench(self.plan, self.workspace, self.fleet, self.clients, progress_on(sys.stderr),
                           tuple(filter(None, arguments.only.split(","))))

    def run(self, one):
        """True when the case could be run."""
        print(f"{one.name}: {one.title}", flush=True)
        began, load = time.monotonic(), machine.load_average()
        try:
            finding = run_case(one, self.bench)
        except (ServerError, ClientError, OSError, subprocess.SubprocessError) as error:
            print(f"\r\033[K  {one.name} failed: {error}", file=sys.stderr)
            finding = failed_finding(one, error)
        finally:
            self.fleet.stop_all()
            self.bench.progress("")
        finding.seconds = time.monotonic() - began
        finding.context = {
            "run": datetime.datetime.now().astimezone().isoformat(timespec="minutes"), "commit": machine.commit_of(HOME),
            "build": self.programs.build_type(), "rounds": f"{self.plan.rounds} of {self.plan.seconds:g} s",
            "storms": f"{self.plan.storm_seconds} s", "load average before": load}
        self.store.add(finding, self._machine(), self.clients.commands, self.fleet.distinct_configurations())
        print_finding(finding)
        return not finding.failed

    def _machine(self):
        cores = f"server {sorted(self.cores.server)}, client {sorted(self.cores.client)}"
        return {**dict(machine.describe()), **dict(self.fleet.versions()),
                "cores": cores + ("" if self.cores.apart else ": the same, so figures include the client's disturbance")}

    def close(self):
        self.fleet.stop_all()
        self.workspace.remove()


def failed_finding(one, error):
    """Stands in the report in place of what a case could not find out."""
    finding = Finding(one.name, one.title, one.about)
    finding.failed = f"{type(error).__name__}: {error}"
    finding.note(f"This case could not be run to its end: {error}.")
    return finding


def print_finding(finding):
    for part in finding.parts:
        if isinstance(part, Table):
            print_table(part)
    for words in [finding.disturbed and f"disturbed: {finding.noise}", *finding.notes]:
        if words:
            print(f"\r  {words}")
    print(f"\r  {finding.seconds:.0f} s", flush=True)


def print_table(table):
    widths = [max(len(row[i]) for row in [table.columns, *table.rows]) for i in range(len(table.columns))]
    for row in [table.columns, *table.rows]:
        print("\r  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                                 for i, (cell, width) in enumerate(zip(row, widths))))


def write_report(store, name):
    findings = store.in_order(CASES)
    disturbed = [one.name for one in findings if one.disturbed]
    commits = sorted({str(one.context.get("commit")) for one in findings})
    facts = [*store.machine.items(), ("commit", ", ".join(commits)),
             ("cases", f"{len(findings)}, {sum(one.seconds for one in findings):.0f} s in all"),
             ("disturbed cases", ", ".join(disturbed) or "none")]
    report = Report("preforkd compared", [[key, str(value)] for key, value in facts], findings, store.configurations,
                    store.commands)
    print("\n".join(report.write(store.folder, name)))


def run_cases(arguments, store):
    programs = paths.Programs(arguments.build)
    build.complete(programs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers are to be ended then, too
    chosen = [CASES[name] for name in arguments.cases] or [
        one for one in CASES.values() if (one.in_quick if arguments.quick else one.in_full)]
    session = Session(arguments, store, programs)
    failed = []
    try:
        failed = [one.name for one in chosen if not session.run(one)]
    except KeyboardInterrupt:
        print("\nbench/run: interrupted; what was done until then is in the report", file=sys.stderr)
        failed = ["interrupted"]
    finally:
        session.close()
    return failed


def main():
    arguments = parse_arguments()
    if arguments.list:
        for one in CASES.values():
            print(f"{one.name:18}{one.title}\n{'':18}{one.about}")
        return 0
    if arguments.install_peers:
        return install.install()
    try:
        folder = arguments.report or arguments.into or paths.BENCH
        store = Store(folder, arguments.name, keep=bool(arguments.report or arguments.into))
        failed = [] if arguments.report else run_cases(arguments, store)
    except (StoreError, build.BuildError) as error:
        print(f"bench/run: {error}", file=sys.stderr)
        return 1
    if not store.findings:
        print(f"bench/run: no results in {store.path}", file=sys.stderr)
        return 1
    write_report(store, arguments.name)
    return 1 if failed else 0
