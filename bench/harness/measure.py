"""Rounds that go A B C A B C, so that a disturbance hits all alike, and what is made of them."""
import statistics
import time
from dataclasses import dataclass, field

from .results import QUIET


@dataclass(frozen=True)
class Contender:
    """One server in one of its ways of being set up."""
    label: str
    server: str
    port: str = "PORT"
    settings: tuple = ()  # (name, value) pairs
    scheme: str = "http"  # what is spoken; board and redis are checked by their cases

    @property
    def family(self):
        return self.label.split()[0]


@dataclass
class Samples:
    """Everything that was measured in one series of rounds."""
    rounds: int
    by_label: dict = field(default_factory=dict)

    def add(self, label, sample):
        self.by_label.setdefault(label, []).append(sample)

    def drop_empty(self):
        """Removes who was not answered in some round, so that no figure of theirs is left; their labels."""
        empty = [label for label, samples in self.by_label.items() if not all(one["answered"] for one in samples)]
        for label in empty:
            del self.by_label[label]
        return empty

    def labels(self):
        return list(self.by_label)

    def values(self, label, key):
        return [sample[key] for sample in self.by_label[label]]

    def median(self, label, key):
        return statistics.median(self.values(label, key))

    def spread(self, label, key):
        values = self.values(label, key)
        return min(values), max(values)

    def total(self, label, key):
        return sum(self.values(label, key))

    def ratio(self, label, base, key):
        """Median over the rounds of the ratio inside one round: what disturbs a whole round cancels."""
        if base not in self.by_label:
            return None
        return statistics.median(a / b for a, b in zip(self.values(label, key), self.values(base, key)) if b > 0)

    def best(self, family, key):
        """The label of that family with the smallest median."""
        labels = [label for label in self.by_label if label.split()[0] == family]
        return min(labels, key=lambda label: self.median(label, key)) if labels else None

    def all(self):
        return [sample for samples in self.by_label.values() for sample in samples]


def url_of(server, contender, path="/1k.html", scheme=None):
    """Where a contender answers; only HTTP has paths."""
    scheme = scheme or contender.scheme
    return f"{scheme}://127.0.0.1:{server.ports[contender.port]}" + (path if scheme == "http" else "")


def take(bench, server, contender, arguments, path, seconds, scheme=None):
    """One sample; up to twice again while somebody else uses the machine and there is time left for
    that. The quietest counts, whatever it says."""
    url = url_of(server, contender, path, scheme)
    best = None
    for _ in range(3):
        began = time.monotonic()
        sample = bench.clients.load([*arguments, "-d", f"{seconds}s"], url, server.pid)
        if best is not None:
            bench.retry_seconds -= time.monotonic() - began
        if best is None or noise_of(sample) < noise_of(best):
            best = sample
        if noise_of(best) <= QUIET or bench.retry_seconds <= 0:
            break
    return best


def noise_of(sample):
    return sample["foreign"] + sample["stolen"]


def warm(bench, server, contender, arguments, path):
    """Caches, allocators and branch predictors have seen the load before anything counts."""
    url = url_of(server, contender, path)
    bench.clients.load([*arguments, "-d", f"{min(0.3, bench.plan.seconds / 2):g}s"], url, server.pid)


def interleave(bench, contenders, arguments, path_of, rounds=None, seconds=None):
    """Measures every contender in each round. `path_of(contender)` is what is asked for."""
    rounds, seconds = rounds or bench.plan.rounds, seconds or bench.plan.seconds
    samples = Samples(rounds)
    servers = bench.start_all(contenders)
    contenders = list(servers)
    for one in contenders:
        bench.check(one, servers[one], path_of(one))
        warm(bench, servers[one], one, arguments, path_of(one))
    for number in range(rounds):
        for one in contenders:
            bench.progress(f"round {number + 1} of {rounds}: {one.label}")
            samples.add(one.label, take(bench, servers[one], one, arguments, path_of(one), seconds))
    for label in samples.drop_empty():
        bench.notes.append(f"{label} is left out: it answered nothing in {seconds:g} s.")
    return samples
