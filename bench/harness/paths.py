"""Where things are: our programs, the peers' configurations, and the folder for one run."""
import os
import random
import shutil
import tempfile

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(BENCH, "peers")
SIZES = {"1k.html": 1 << 10, "4k.bin": 4 << 10, "16k.bin": 16 << 10, "64k.bin": 64 << 10,
         "100k.bin": 100 << 10, "256k.bin": 256 << 10, "1m.bin": 1 << 20, "10m.bin": 10 << 20}


class Workspace:
    """A fresh folder with the files that are served and room for each server; removed at the end."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="preforkd-bench-")
        os.chmod(self.root, 0o755)  # servers that change their user must reach the files
        self.www = os.path.join(self.root, "www")
        os.mkdir(self.www)
        source = random.Random(1)
        text = "".join(source.choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=1 << 16))
        for name, size in SIZES.items():
            with open(os.path.join(self.www, name), "w", encoding="ascii") as file:
                file.write((text * (size // len(text) + 1))[:size])

    def room_for(self, name):
        path = os.path.join(self.root, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)
        return path

    def content(self, name):
        with open(os.path.join(self.www, name), "rb") as file:
            return file.read()

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Programs:
    """Our own programs in a build folder."""

    def __init__(self, build):
        self.build = os.path.abspath(build)

    def path(self, name):
        folder = self.build if name == "preforkd" else os.path.join(self.build, "bench")
        return os.path.join(folder, name)

    def missing(self):
        """Those that the cases need and that are not built."""
        return [name for name in ("preforkd", "load", "floor", "asio_echo", "asio_hello", "hellod", "alone",
                                  "preforkd_next")
                if not os.access(self.path(name), os.X_OK)]

    def build_type(self):
        """Release, Debug, ..., with a word on sanitizers, as CMake was told."""
        try:
            with open(os.path.join(self.build, "CMakeCache.txt"), encoding="utf-8") as file:
                cache = dict(line.strip().split("=", 1) for line in file if "=" in line and line[0] not in "#/")
        except OSError:
            return "unknown"
        kind = cache.get("CMAKE_BUILD_TYPE:STRING") or "unknown"
        return kind + ("" if cache.get("PREFORKD_SANITIZE:STRING", "OFF") == "OFF" else " with sanitizers")
