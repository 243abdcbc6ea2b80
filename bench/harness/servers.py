"""The servers that are compared: how each is configured, started, found ready and ended."""
import os
import random
import re
import shutil
import socket
import time

from . import machine, processes
from .paths import PEERS


def free_port():
    """A port that nobody has now, below those from which the kernel serves outgoing connections:
    our clients make so many that they would take it before the server does."""
    while True:
        port = random.SystemRandom().randrange(10240, 32768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Kind:
    """What is known of a server before it runs. `ports`: names of the listeners in its configuration."""

    def __init__(self, name, template=None, ports=("PORT",), package=None, version=(), command=None,
                 user_line="", reload_signal=None, doc=""):
        self.name, self.template, self.ports, self.package = name, template, ports, package
        self.version, self.command, self.user_line = version, command, user_line
        self.reload_signal, self.doc = reload_signal, doc


NGINX_PORTS = ("PORT", "PORT_SENDFILE", "PORT_NOPUSH_OFF", "PORT_DEFERRED", "PORT_LOG", "PORT_LOG_BUFFERED",
               "PORT_GZIP")

KINDS = {kind.name: kind for kind in (
    Kind("preforkd", "preforkd.conf.in", ("PORT", "PORT_ECHO"), version=("-V",), reload_signal="HUP",
         command=lambda program, conf, ports, settings: [program, "-F", "-c", conf]),
    Kind("nginx", "nginx.conf.in", NGINX_PORTS, "nginx", ("-v",), user_line="user www-data;",
         command=lambda program, conf, ports, settings: [program, "-c", conf], reload_signal="HUP"),
    Kind("haproxy", "haproxy.cfg.in", package="haproxy", version=("-v",), reload_signal="USR2",
         command=lambda program, conf, ports, settings:
         [program, *(("-W",) if settings["RELOADABLE"] else ("-db",)), "-f", conf]),
    Kind("h2o", "h2o.conf.in", package="h2o", version=("-v",), user_line="user: root",
         command=lambda program, conf, ports, settings: [program, "-m", "worker", "-c", conf]),
    Kind("lighttpd", "lighttpd.conf.in", package="lighttpd", version=("-v",),
         command=lambda program, conf, ports, settings: [program, "-D", "-f", conf]),
    Kind("apache2", "apache2.conf.in", package="apache2", version=("-v",), reload_signal="USR1",
         user_line="User www-data\nGroup www-data",
         command=lambda program, conf, ports, settings: [program, "-f", conf, "-DFOREGROUND"]),
    Kind("redis", "redis.conf.in", package="redis-server", version=("--version",),
         command=lambda program, conf, ports, settings: [program, conf]),
    Kind("hellod", "hellod.conf.in", command=lambda program, conf, ports, settings: [program, "-F", "-c", conf],
         reload_signal="HUP", doc="the README's first service"),
    Kind("asio_hello", command=lambda program, conf, ports, settings: [program, str(ports["PORT"])],
         doc="the same protocol in plain Asio coroutines"),
    Kind("alone", command=lambda program, conf, ports, settings: [program, str(ports["PORT"]), settings["FOLDER"]],
         doc="our file server in one process without its master, which valgrind can't run"),
    Kind("floor", command=lambda program, conf, ports, settings:
         [program, str(ports["PORT"]), *settings.get("FLAGS", ())],
         doc="our bare epoll program with canned answers"),
    Kind("asio_echo", command=lambda program, conf, ports, settings: [program, str(ports["PORT"])],
         doc="an echo server in plain Asio coroutines"),
)}

EXECUTABLES = {"redis": "redis-server"}
SEARCH_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Fleet:
    """All servers of one run. Knows which are installed, starts them when first asked for."""

    def __init__(self, workspace, programs, cores):
        self.workspace, self.programs, self.cores = workspace, programs, cores
        self.running = {}
        self.configurations = {}  # key -> (command line, configuration text), for the report

    def executable(self, name):
        kind = KINDS[name]
        if kind.package is None:
            path = self.programs.path(name)
            return path if os.access(path, os.X_OK) else None
        return shutil.which(EXECUTABLES.get(name, name), path=SEARCH_PATH)

    def has(self, name):
        return self.executable(name) is not None

    def versions(self):
        found = []
        for kind in KINDS.values():
            if kind.version and self.executable(kind.name):
                line = machine.first_line(self.executable(kind.name), *kind.version)
                found.append((kind.name, re.sub(r" - https?://.*", "", line)))
        return found

    def server(self, name, cores=None, **settings):
        """The running server `name` with these settings; started if need be."""
        cores = cores or self.cores.server
        key = (name, cores, tuple(sorted((k, str(v)) for k, v in settings.items())))
        if key not in self.running:
            self.running[key] = Server(self, KINDS[name], f"{name}-{len(self.configurations)}", cores, settings)
        return self.running[key]

    def distinct_configurations(self):
        """[name, command, text] of each server that ran, without those that differ in ports and folders alone."""
        found = []
        for name, (command, text) in self.configurations.items():
            one = [name.rsplit("-", 1)[0], command, text]
            if one not in found:
                found.append(one)
        return found

    def forget(self, server):
        """Stops one server before the others."""
        server.stop()
        self.running = {key: one for key, one in self.running.items() if one is not server}

    def stop_all(self):
        for server in self.running.values():
            server.stop()
        self.running.clear()


class Server:
    """One running server."""

    def __init__(self, fleet, kind, folder, cores, settings):
        self.kind = kind
        self.folder = fleet.workspace.room_for(folder)
        self.ports = {name: free_port() for name in kind.ports}
        self.settings = {"WORKERS": 1, "REUSEPORT": "", "APPENDONLY": "no", "RELOADABLE": False,
                         "ACCESS_LOG": "off", "EXTRA": "", "EXTRA_HTTP": "", **settings}
        self.configuration = self._configure(fleet)
        program = self.settings.get("PROGRAM") or fleet.executable(kind.name)
        if program is None:
            raise ServerError(f"{kind.name} is not installed; bench/run --install-peers gets Debian's packages")
        self.command = [*self.settings.get("PREFIX", ()),
                        *kind.command(program, self.configuration, self.ports, self.settings)]
        fleet.configurations[folder] = (self._without_accidents(fleet, " ".join(self.command)),
                                        self._without_accidents(fleet, self._text))
        self.log_path = os.path.join(self.folder, "output.log")
        with open(self.log_path, "wb") as log:
            self.process = processes.start(self.command, cores, log, cwd=self.folder,
                                           env={**os.environ, **self.settings.get("ENVIRONMENT", {})})
        try:
            # Whoever wants to know the moment exactly gives a way to wait for it.
            self.ready_at = self.settings.get("WAIT", self._wait_until_ready)(self.settings.get("PATIENCE", 10))
        except ServerError:
            self.stop()
            raise

    def _configure(self, fleet):
        self._text = ""
        if self.kind.template is None:
            return None
        with open(os.path.join(PEERS, self.kind.template), encoding="utf-8") as file:
            text = file.read()
        values = {"RUN": self.folder, "WWW": fleet.workspace.www, **self.ports, **self.settings,
                  "USER_LINE": self.kind.user_line if os.geteuid() == 0 else "",
                  "THREADS_TOTAL": 64 * int(self.settings["WORKERS"])}
        self._text = re.sub(r"@([A-Z_]+)@", lambda match: str(values[match[1]]), text)
        path = os.path.join(self.folder, self.kind.template.removesuffix(".in"))
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._text)
        return path

    def _without_accidents(self, fleet, words):
        """A command or configuration as it stands in the report: with names for what differs in every run."""
        for path, name in ((self.folder, "RUN"), (fleet.workspace.www, "WWW"), (fleet.programs.build, "BUILD")):
            words = words.replace(path, name)
        for name, port in self.ports.items():
            words = re.sub(rf"\b{port}\b", name, words)
        return re.sub(r"/tmp/\w+", "TMP", words)

    def rewrite(self, **settings):
        """The same configuration with other settings, for the next reload."""
        text = self._text
        for name, value in settings.items():
            text = text.replace(name, value)
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(text)

    # A server that can't tell when it is ready is asked by connecting; this is before any measurement.
    def _wait_until_ready(self, patience):
        deadline = time.monotonic() + patience
        while True:
            try:
                for port in self.ports.values():
                    socket.create_connection(("127.0.0.1", port), 1).close()
                return time.monotonic()
            except OSError:
                if self.process.poll() is not None:
                    raise ServerError(f"{self.kind.name} ended at once: {self.last_words()}") from None
                if time.monotonic() > deadline:
                    raise ServerError(f"{self.kind.name} does not listen: {self.last_words()}") from None
                time.sleep(0.02)

    def last_words(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-400:].strip() or f"see {self.log_path}"

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        processes.stop(self.process)


class ServerError(Exception):
    """A server that could not be started or answers wrongly; its text says which and why."""
