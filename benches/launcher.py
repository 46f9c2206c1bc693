"""Runs commands one after another and tells what each used.

A process of its own, and a small one: what a command's peak memory is counted from is the process that starts it.
"""

import json
import os
import sys
import time

for line in sys.stdin:
    task = json.loads(line)
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.chdir(task["folder"])
        for name, number in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.execve(task["command"][0], task["command"], task["environment"])
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    answer = {"code": code, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1024}
    print(json.dumps(answer), flush=True)
