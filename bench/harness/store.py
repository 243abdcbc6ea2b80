"""The results of one report, in one JSON file: cases can be run in pieces and put together."""
import json
import os

from .results import Finding


class StoreError(Exception):
    """A results file that can't be read; its text says which and why."""


class Store:
    """Results under FOLDER/NAME.json. Each case is saved as soon as it is done."""

    def __init__(self, folder, name, keep):
        """`keep`: what is there already stays, until its case is run again."""
        self.folder, self.path = folder, os.path.join(folder, name + ".json")
        self.machine, self.findings, self.commands, self.configurations = {}, {}, [], []
        if keep and os.path.exists(self.path):
            self._load()

    def _load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                data = json.load(file)
            self.machine, self.commands = data["machine"], data["commands"]
            self.configurations = data["configurations"]
            self.findings = {name: Finding.from_json(one) for name, one in data["cases"].items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.path} can't be read ({error}); remove it, or name another folder") from None

    def add(self, finding, machine, commands, configurations):
        """Adds or replaces a case's finding, and saves all."""
        self.machine = {**self.machine, **machine}
        self.findings[finding.name] = finding
        self.commands += [one for one in commands if one not in self.commands]
        self.configurations += [one for one in configurations if one not in self.configurations]
        self.save()

    def in_order(self, names):
        """The findings in the order of `names`."""
        return [self.findings[name] for name in names if name in self.findings]

    def save(self):
        os.makedirs(self.folder, exist_ok=True)
        data = {"machine": self.machine, "commands": self.commands, "configurations": self.configurations,
                "cases": {name: one.to_json() for name, one in self.findings.items()}}
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(data, file, ensure_ascii=False, default=str)
        os.replace(self.path + ".new", self.path)
