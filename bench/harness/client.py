"""The clients: bench/load, and wrk to compare it with."""
import json
import os
import re
import subprocess
import time

from . import machine, processes


WRK_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wrk.lua")
WRK_ERRORS = ("connect", "read", "write", "status", "timeout")
WRK_QUANTILES = ("p50", "p90", "p99", "p99.9", "max")


class ClientError(Exception):
    """The load could not be made; its text is the client's own."""


class Noise:
    """Who else uses the machine while we measure: the CPUs that neither the server, nor we, nor our
    clients kept busy, and those that the host took away. Known to 10 ms, so to 1 % of a second's CPU."""

    def __init__(self, server):
        self.server, self.began = server, time.monotonic()
        self.before = self._read()

    def _read(self):
        busy, stolen = machine.busy_seconds()
        return busy - sum(os.times()[:4]) - processes.cpu_nanoseconds(self.server) / 1e9, stolen

    def since(self):
        wall = time.monotonic() - self.began
        foreign, stolen = ((after - before) / wall for after, before in zip(self._read(), self.before))
        return {"foreign": max(0.0, foreign), "stolen": stolen}


class Clients:
    """Makes load from the client's cores."""

    def __init__(self, programs, cores):
        self.load_path, self.cores = programs.path("load"), cores
        self.commands = []  # every distinct command line, for the report

    def note(self, command):
        line = " ".join([os.path.basename(command[0]), *command[1:]])
        line = line.replace(os.path.dirname(WRK_SCRIPT), "bench/harness")
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

    def load(self, arguments, url, server, cores=None, patience=120):
        """Runs load and returns its JSON with Noise's `foreign` and `stolen`."""
        noise = Noise(server)
        result = self.end(self.begin(arguments, url, server, cores), patience)
        return {**result, **noise.since()}

    def wrk(self, arguments, url, server, pipeline=1, cores=None):
        """Runs wrk and returns the figures that load gives too, by its names, and wrk's own `errors`."""
        command = ["wrk", *map(str, arguments), "-s", WRK_SCRIPT, url]
        self.note(["WRK_PIPELINE=%d" % pipeline, *command] if pipeline > 1 else command)
        noise, before = Noise(server), processes.cpu_nanoseconds(server)
        process = processes.start(command, cores or self.cores.client, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, env={**os.environ, "WRK_PIPELINE": str(pipeline)})
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        heard, used = noise.since(), processes.cpu_nanoseconds(server) - before
        told = re.search(r"^#([-\d ]+)$", output, re.M)
        if not told:
            raise ClientError(f"wrk: {output.strip()[-300:]}")
        requests, duration, *counts = map(int, told[1].split())
        errors, quantiles = dict(zip(WRK_ERRORS, counts)), dict(zip(WRK_QUANTILES, counts[len(WRK_ERRORS):]))
        answered = max(requests - errors["status"], 1)
        return {"answered": answered, "failed": sum(errors.values()), "per_second": answered / duration * 1e6,
                "server_cpu_per_request": used / 1e3 / answered,
                "client_cpu_per_request": (usage.ru_utime + usage.ru_stime) * 1e6 / answered,
                "latency": quantiles, "errors": errors, **heard}
