"""What an administrator does to an installed preforkd, and what must come of it, in this order."""

import dataclasses
import pathlib
import re

from machine import Failed

CONFIG = "/etc/preforkd/preforkd.conf"
LOCK = "/run/preforkd/preforkd.pid"
INIT = "/etc/init.d/preforkd"
OLD, NEW = "0.0.9", "0.1.0"  # as tests/CMakeLists.txt and CMakeLists.txt have them


@dataclasses.dataclass
class Packages:
    old: pathlib.Path
    new: pathlib.Path
    build: pathlib.Path


def all_scenarios():
    """In the order of the file."""
    return [(name[len("scenario_"):], function) for name, function in globals().items()
            if name.startswith("scenario_")]


def check(holds, text):
    if not holds:
        raise Failed(text)


def equal(seen, wanted, what):
    check(seen == wanted, f"{what}: {seen!r}, not {wanted!r}")


def page(box, port=80):
    return box.run("curl", "-sS", "--fail", "--max-time", "20", f"http://127.0.0.1:{port}/")


def check_served(box):
    check("It works." in page(box), "the first page is not served")


def check_active(box, unit="preforkd"):
    equal(box.property(unit, "ActiveState"), "active", f"state of {unit}")


def main_pid(box, unit="preforkd"):
    return int(box.property(unit, "MainPID"))


def status_text(box, unit="preforkd"):
    return box.property(unit, "StatusText")


def generation(box, unit="preforkd"):
    found = re.search(r"generation (\d+)", status_text(box, unit))
    return int(found.group(1)) if found else 0


def processes(box):
    """(pid, uid, whole command line) of every process of preforkd."""
    lines = box.run("ps", "-eo", "pid=,uid=,args=").splitlines()
    words = [line.split(None, 2) for line in lines]
    return [(int(pid), int(uid), command) for pid, uid, command in words
            if command.startswith("preforkd:") or command.startswith("/usr/sbin/preforkd")]


# ---- The scenarios ----


def scenario_install(box, packages):
    box.put(packages.old, "/run/old.deb")
    box.put(packages.new, "/run/new.deb")
    box.run("dpkg", "-i", "/run/old.deb", timeout=180)
    check_active(box)
    equal(box.run("systemctl", "is-enabled", "preforkd").strip(), "enabled", "preforkd")
    check_served(box)
    master = main_pid(box)
    uids = {pid: uid for pid, uid, _ in processes(box)}
    equal(uids.pop(master), 0, "uid of the master")
    user = int(box.run("id", "-u", "preforkd"))
    check(uids and set(uids.values()) == {user}, f"workers' uids: {uids}, not {user}")
    equal(box.run("stat", "-c", "%U:%G %a", "/var/log/preforkd").strip(), "root:adm 750", "log folder")


def scenario_journal_has_priorities_and_no_second_time(box, packages):
    lines = box.run("journalctl", "--no-pager", "-o", "json", "-u", "preforkd", "_COMM=preforkd")
    ready = [line for line in lines.splitlines() if " ready generation=1" in line]
    check(len(ready) >= 1, "no line says that generation 1 is ready:\n" + lines)
    check('"PRIORITY":"5"' in ready[0], "a notice has another priority: " + ready[0])
    check(not re.search(r'"MESSAGE":"\d{4}-', ready[0]), "the time stands twice: " + ready[0])


def scenario_reload_takes_a_good_file(box, packages):
    before, pid = generation(box), main_pid(box)
    box.run("systemctl", "reload", "preforkd")
    box.wait_until("the next generation serves", lambda: generation(box) == before + 1)
    equal(main_pid(box), pid, "pid of the master after a reload")
    check_served(box)


def scenario_reload_refuses_a_bad_file(box, packages):
    before, good = generation(box), box.path(CONFIG).read_text()
    box.write(CONFIG, "drain_timout = 3s\n" + good)
    try:
        said = box.run("systemctl", "reload", "preforkd", expect=1)
        check("failed" in said, "systemctl did not say that it failed: " + said)
        journal = box.journal("preforkd")
        check(f"{CONFIG}:1: unknown key 'drain_timout'; did you mean 'drain_timeout'?" in journal,
              "the journal does not name the fault:\n" + journal)
        check_active(box)
        check_served(box)
        equal(generation(box), before, "generation after a refused reload")
    finally:
        box.write(CONFIG, good)


def scenario_reload_fails_when_the_new_workers_can_not_start(box, packages):
    before, good = generation(box), box.path(CONFIG).read_text()
    # What only a worker finds out.
    board = "/srv/no-board"
    box.write(board, "nonsense\n" * 1000)
    box.run("chown", "preforkd:", board)
    box.write(CONFIG, re.sub(r"service = http\nroot .*", f"service = board\nfile = {board}", good))
    try:
        box.run("systemctl", "reload", "preforkd", expect=1)
        journal = box.journal("preforkd")
        check("preforkctl: reload refused: worker main/" in journal and board in journal,
              "the journal does not say what was wrong:\n" + journal)
        check_served(box)
        equal(generation(box), before, "generation after a refused reload")
    finally:
        box.write(CONFIG, good)
        box.run("rm", board)


def scenario_preforkctl_shows_and_controls(box, packages):
    page(box)
    status = box.run("preforkctl", "status")
    print("".join(f"        {line}\n" for line in status.splitlines()), end="")
    for part in (f"pid {main_pid(box)}", "web ", "main/0", "serving"):
        check(part in status, f"no {part!r} in\n{status}")
    check("reload ok: generation" in box.run("preforkctl", "reload", "--wait"), "no verdict")
    box.run("preforkctl", "-p", "/run/none", "status", expect=3)
    said = box.run("setpriv", "--reuid=preforkd", "--clear-groups", "preforkctl", "-p",
                   "/run/preforkd/preforkd.pid", "reload", expect=4)
    check("run preforkctl as root" in said, "what to do is not said: " + said)
    metrics = box.run("curl", "-sS", "--fail", "http://127.0.0.1:9190/metrics")
    check('preforkd_requests_total{listener="web",code="2xx"}' in metrics, "no metrics:\n" + metrics)
    equal(box.run("curl", "-sS", "http://127.0.0.1:9190/ready"), "ready\n", "/ready")


def scenario_a_killed_master_is_started_again(box, packages):
    before = main_pid(box)
    box.run("kill", "-KILL", str(before))
    box.wait_until("systemd starts another master",
                   lambda: main_pid(box) not in (0, before)
                   and box.property("preforkd", "ActiveState") == "active")
    check_served(box)


def scenario_a_stopped_master_is_found_by_the_watchdog(box, packages):
    box.write("/run/systemd/system/preforkd.service.d/watchdog.conf", "[Service]\nWatchdogSec=2\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "restart", "preforkd")
    before = main_pid(box)
    box.run("kill", "-STOP", str(before))
    box.wait_until("the watchdog ends it and another master serves",
                   lambda: main_pid(box) not in (0, before)
                   and box.property("preforkd", "ActiveState") == "active")
    check("Watchdog timeout" in box.journal("preforkd"), "it was not the watchdog")
    check_served(box)
    box.run("rm", "-r", "/run/systemd/system/preforkd.service.d")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "restart", "preforkd")


def scenario_stop_lets_clients_finish(box, packages):
    client = box.connect(80)
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
    # The half request has been read once an answer on another connection has come.
    check_served(box)
    box.run("systemctl", "stop", "--no-block", "preforkd")
    box.wait_until("it is stopping", lambda: box.property("preforkd", "ActiveState") == "deactivating"
                   and "stopping" in status_text(box))
    client.sendall(b"\r\n")
    answer = b""
    while chunk := client.recv(65536):
        answer += chunk
    client.close()
    check(answer.startswith(b"HTTP/1.1 200 ") and b"It works." in answer,
          f"the client that was there got {answer!r}")
    box.wait_until("it has stopped", lambda: box.property("preforkd", "ActiveState") == "inactive")
    equal(box.property("preforkd", "Result"), "success", "result of the stop")
    equal(processes(box), [], "processes after the stop")
    check(not box.path(LOCK).exists(), "the lock file is left")
    box.run("systemctl", "start", "preforkd")


def scenario_logrotate_gives_workers_new_files(box, packages):
    log = "/var/log/preforkd/access.log"
    page(box)
    box.wait_until("the request is logged", lambda: box.path(log).read_text() != "")
    box.run("logrotate", "-f", "/etc/logrotate.d/preforkd")
    box.wait_until("the logs are reopened", lambda: "logs reopened" in box.journal("preforkd"))
    check(box.path(log + ".1").read_text() != "", "the old lines are gone")
    page(box)
    box.wait_until("the new file gets lines", lambda: "GET / HTTP" in box.path(log).read_text())
    equal(box.run("stat", "-c", "%U:%G %a", log).strip(), "root:adm 640", "rotated log")


def scenario_units_are_hardened(box, packages):
    for unit in ("preforkd.service", "preforkd-rootless.service", "preforkd@.service"):
        path = f"/lib/systemd/system/{unit}"
        said = box.run("systemd-analyze", "verify", "--man=no", path.replace("@.", "@x."))
        check("preforkd" not in said, f"systemd-analyze verify {unit}: {said}")
        said = box.run("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=25", path)
        print("        " + said.strip().splitlines()[-1])


def scenario_several_instances_run_side_by_side(box, packages):
    for name, port in (("one", 8001), ("two", 8002)):
        box.write(f"/etc/preforkd/{name}.conf",
                  f"[listen.web]\naddress = 127.0.0.1:{port}\nservice = http\n"
                  "root = /usr/share/preforkd/site\n")
    box.run("systemctl", "start", "preforkd@one", "preforkd@two")
    for name, port in (("one", 8001), ("two", 8002)):
        check("It works." in page(box, port), f"instance {name} does not serve")
        check(box.path(f"/run/preforkd-{name}/preforkd.pid").exists(), f"no lock of {name}")
    box.run("systemctl", "reload", "preforkd@one")
    box.wait_until("instance one has reloaded", lambda: generation(box, "preforkd@one") == 2)
    equal(generation(box, "preforkd@two"), 1, "generation of instance two")
    box.run("systemctl", "stop", "preforkd@one", "preforkd@two")
    check_served(box)


def scenario_without_root_the_socket_unit_binds(box, packages):
    box.run("systemctl", "disable", "--now", "preforkd")
    box.run("systemctl", "enable", "--now", "preforkd.socket", "preforkd-rootless")
    check_active(box, "preforkd-rootless")
    check_served(box)
    user = int(box.run("id", "-u", "preforkd"))
    seen = processes(box)
    check(len(seen) >= 2 and {uid for _, uid, _ in seen} == {user}, f"processes: {seen}")
    for pid, _, command in seen:
        status = box.run("cat", f"/proc/{pid}/status")
        for line in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            check(f"{line}:\t0000000000000000" in status, f"{command} has capabilities:\n{status}")
    box.run("systemctl", "reload", "preforkd-rootless")
    box.wait_until("it has reloaded", lambda: generation(box, "preforkd-rootless") == 2)
    check_served(box)
    box.wait_until("requests are logged", lambda: "GET / HTTP" in
                   box.path("/var/log/preforkd-rootless/access.log").read_text())
    box.run("systemctl", "disable", "--now", "preforkd.socket", "preforkd-rootless")
    box.run("systemctl", "enable", "--now", "preforkd")
    check_served(box)


def scenario_the_init_script_keeps_lsb_rules(box, packages):
    box.run("systemctl", "stop", "preforkd")

    def act(action, expect):
        # As on a system without systemd: lsb's functions would hand it over to systemctl.
        return box.run("env", "SYSTEMCTL_SKIP_REDIRECT=1", INIT, action, expect=expect)

    act("status", 3)
    act("stop", 0)
    act("reload", 7)
    act("try-restart", 0)
    act("status", 3)
    act("start", 0)
    act("status", 0)
    check_served(box)
    first = box.path(LOCK).read_text()
    act("start", 0)
    equal(box.path(LOCK).read_text(), first, "pid after a second start")
    act("reload", 0)
    act("force-reload", 0)
    equal(box.path(LOCK).read_text(), first, "pid after a reload")
    act("restart", 0)
    check(box.path(LOCK).read_text() != first, "a restart did not start another process")
    check_served(box)
    good = box.path(CONFIG).read_text()
    box.write(CONFIG, "workers = many\n" + good)
    check("workers: 'many'" in act("reload", 6), "the fault is not said")
    act("status", 0)
    act("stop", 0)
    check("workers: 'many'" in act("start", 6), "the fault is not said")
    box.write(CONFIG, good)
    act("start", 0)
    for pid, _, _ in processes(box):
        box.run("kill", "-KILL", str(pid), expect=None)
    box.wait_until("all are gone", lambda: processes(box) == [])
    act("status", 1)
    act("start", 0)
    act("stop", 0)
    act("nonsense", 2)
    box.run("systemctl", "start", "preforkd")


def scenario_an_upgrade_loses_no_request(box, packages):
    equal(box.run("preforkd", "-V"), f"preforkd {OLD}\n", "the program before the upgrade")
    check(f"preforkd {OLD} " in box.run("preforkctl", "status"), "the server is not the old one")
    load = packages.build / "bench" / "load"
    client = None
    if not load.exists():
        print("        without load: bench/load is not built")
    if load.exists():
        box.put(load, "/run/load")
        client = box.start("/run/load", "-q", "-c", "8", "-R", "200", "-d", "30s", "--timeout", "20s",
                           "http://127.0.0.1/")
        box.wait_until("requests come", lambda: "load" in box.run("ps", "-eo", "comm="))
    before = main_pid(box)
    box.run("dpkg", "-i", "/run/new.deb", timeout=180)
    equal(main_pid(box), before, "pid of the master after the upgrade")
    check("(deleted)" not in box.run("readlink", f"/proc/{before}/exe"), "the old program still runs")
    status = box.run("preforkctl", "status")
    check(f"preforkd {NEW} " in status and "last upgrade: ok" in status, "no upgrade in\n" + status)
    check(f"upgrade ok from={OLD} to={NEW}" in box.journal("preforkd"), "no verdict in the journal")
    if client:
        check(client.poll() is None, "the upgrade took longer than the load")
        said = client.communicate()[0]
        equal(client.returncode, 0, "exit status of the load client, which said:\n" + said)
    equal(box.run("dpkg-query", "-W", "-f", "${Version}", "preforkd"), NEW, "version")
    check_active(box)
    check_served(box)


def scenario_purge_leaves_nothing(box, packages):
    box.run("dpkg", "--purge", "preforkd", timeout=180)
    equal(processes(box), [], "processes after the purge")
    for name in ("one", "two"):
        box.path(f"/etc/preforkd/{name}.conf").unlink()  # the administrator's, not the package's
    left = box.shell("rmdir /etc/preforkd; find /etc /lib/systemd /usr/lib/systemd /usr/lib/sysusers.d "
                     "/usr/lib/tmpfiles.d /usr/sbin /usr/bin /usr/share/man /usr/share/doc "
                     "/usr/share/bash-completion /var/log /var/lib /var/spool /run "
                     r"-xdev \( -name 'preforkd*' -o -name '[SK]??preforkd' \) 2>/dev/null")
    equal(left.split(), [], "files after the purge")
    box.run("getent", "passwd", "preforkd", expect=2)
    box.run("getent", "group", "preforkd", expect=2)
    check("preforkd" not in box.run("systemctl", "list-unit-files", "--no-pager"), "a unit is left")
