"""Ansible, whatever the cloud: a playbook that makes all groups, and two for the checks that it can do."""

import json
import sys
from pathlib import Path


class Playbook:
    def __init__(self, folder, made, filled):
        """Tasks that make groups, and tasks that fill them. Groups come first: rules may name those that don't exist yet."""
        # Without groups, filling them can't be checked.
        for file, tasks in {"make.json": made + filled, "check.json": filled, "empty.json": made}.items():
            play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
            (folder / file).write_text(json.dumps([play]))

    def command(self, case):
        run = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}"]
        if case == "plan from empty":
            return [*run, "--check", "empty.json"]
        return [*run, "--check", "check.json"] if case.startswith("plan") else [*run, "make.json"]
