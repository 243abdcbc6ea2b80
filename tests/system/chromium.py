"""Headless Chromium, for the tests that look at pages as people do."""

import base64
import json
import os
import select
import signal
import subprocess
import sys

from server import DEADLINE, await_line


class Browser:
    """Chromium, spoken to through pipes. Source: Chrome DevTools Protocol."""

    def __init__(self, folder):
        to_browser, self.commands = os.pipe()
        self.events, from_browser = os.pipe()

        def hand_over():
            # Through numbers that neither 3 nor 4 can be, or one would close the other.
            high_in, high_out = os.dup2(to_browser, 30), os.dup2(from_browser, 31)
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--remote-debugging-pipe", f"--user-data-dir={folder}/profile",
             "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=hand_over, start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer = b""
        self.number = 0
        self.requests = []
        self.problems = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")

    session = None

    def receive(self):
        while b"\0" not in self.buffer:
            if not select.select([self.events], [], [], DEADLINE)[0]:
                sys.exit("FAILED: the browser does not answer")
            chunk = os.read(self.events, 1 << 20)
            if not chunk:
                sys.exit("FAILED: the browser has ended")
            self.buffer += chunk
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.problems.append(json.dumps(message["params"])[:400])
        return message

    def call(self, method, may_fail=False, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer and not may_fail:
                    sys.exit(f"FAILED: {method}: {answer['error']}")
                return answer.get("result")

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", expression=expression,
                         returnByValue=True)["result"].get("value")

    def await_true(self, expression, what):
        """The page itself looks each time it has renewed, so nothing here needs to wait."""
        await_line(lambda _: True if self.evaluate(expression) else select.select([], [], [], 0.1)
                   and None, what)

    def size(self, width, height, mobile):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=mobile)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(DEADLINE)
        os.close(self.commands)
        os.close(self.events)
