"""The clients: bench/load, and wrk to compare it with."""
import json
import os
import re
import subprocess
import time

from . import machine, processes


class ClientError(Exception):
    """The load could not be made; its text is the client's own."""


class Clients:
    """Makes load from the client's cores."""

    def __init__(self, programs, cores):
        self.load_path, self.cores = programs.path("load"), cores
        self.commands = []  # every distinct command line, for the report

    def note(self, command):
        line = " ".join([os.path.basename(command[0]), *command[1:]])
        line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
        line = re.sub(r"--server \d+", "--server PID", line)
        line = re.sub(r"--storm \d+", "--storm PID", line)
        if line not in self.commands:
            self.commands.append(line)

    def begin(self, arguments, url, server=None, cores=None, **options):
        command = [self.load_path, "--quiet", "--json", "-", *map(str, arguments)]
        if server is not None:
            command += ["--server", str(server)]
        command.append(url)
        self.note(command)
        return processes.start(command, cores or self.cores.client, stdout=subprocess.PIPE,
                               stderr=options.pop("stderr", subprocess.PIPE), text=True, **options)

    def end(self, process, patience):
        """The result of a load begun earlier, or ClientError."""
        try:
            output, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            processes.stop(process)
            raise ClientError("load did not end in time") from None
        if process.returncode not in (0, 1) or not output.startswith("{"):
            raise ClientError((errors or output or f"load ended with {process.returncode}").strip())
        return json.loads(output)

    def load(self, arguments, url, server=None, cores=None, patience=120):
        """Runs load and returns its JSON with `foreign`, the CPUs that neither load nor the server
        kept busy meanwhile, and `stolen`, those that the host took away."""
        busy, stolen = machine.busy_seconds()
        began = time.monotonic()
        ours = 0 if server is None else -processes.cpu_nanoseconds(server)
        process = self.begin(arguments, url, server, cores)
        usage = os.times()
        result = self.end(process, patience)
        spent = os.times()
        wall = time.monotonic() - began
        ours += 0 if server is None else processes.cpu_nanoseconds(server)
        client = (spent.children_user + spent.children_system) - (usage.children_user + usage.children_system)
        busy_after, stolen_after = machine.busy_seconds()
        result["foreign"] = max(0.0, (busy_after - busy - ours / 1e9 - client) / wall)
        result["stolen"] = (stolen_after - stolen) / wall
        return result

    def wrk(self, arguments, url, server):
        """Runs wrk and returns answered, per_second, server and client CPU µs a request."""
        command = ["wrk", *map(str, arguments), url]
        self.note(command)
        before = processes.cpu_nanoseconds(server)
        process = processes.start(command, self.cores.client, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
        output = process.stdout.read()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        process.stdout.close()
        used = processes.cpu_nanoseconds(server) - before
        total = re.search(r"(\d+) requests in", output)
        rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
        if not total or not rate:
            raise ClientError(f"wrk: {output.strip()[-300:]}")
        answered = max(int(total[1]), 1)
        scale = {"us": 1, "ms": 1e3, "s": 1e6}
        percentile = {float(name): float(value) * scale[unit] for name, value, unit in
                      re.findall(r"^\s+(\d+(?:\.\d+)?)%\s+([\d.]+)(us|ms|s)", output, re.M)}
        slowest = re.search(r"Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)", output)
        errors = re.search(r"Socket errors: (.*)", output)
        return {"answered": answered, "per_second": float(rate[1]), "server_cpu_per_request": used / 1e3 / answered,
                "client_cpu_per_request": (usage.ru_utime + usage.ru_stime) * 1e6 / answered,
                "percentiles": percentile, "slowest": float(slowest[1]) * scale[slowest[2]] if slowest else 0, "errors": errors[1] if errors else "none"}
