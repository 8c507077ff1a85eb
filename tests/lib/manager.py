#!/usr/bin/env python3
"""A service manager in small: holds a listening socket and a notify socket for a program, as systemd does.

manager.py PORT COMMAND...: reads lines from stdin, `start`, `kill SIGNAL`, `hold THREAD` (that one alone stands still
until `release`), `quit`; prints one line of JSON for each
thing that happens: {"listening": PORT}, {"pid": N}, {"notify": TEXT}, {"ended": STATUS}.
"""
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile


def say(**what):
    print(json.dumps(what), flush=True)


def start(command, listener, notify_path):
    # LISTEN_PID is the pid of the program itself, which is known after the fork only; socket 3 is the first of them.
    script = f'LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$@" 3<&{listener.fileno()}'
    environment = {**os.environ, "NOTIFY_SOCKET": notify_path, "LISTEN_FDS": "1", "WATCHDOG_USEC": "1000000"}
    child = subprocess.Popen(["bash", "-c", script, "bash", *command], env=environment,
                             pass_fds=[listener.fileno()], stdout=sys.stderr)
    say(pid=child.pid)
    return child


def trace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(request, thread, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace of thread {thread}")


def hold(pid, name):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as file:
            if file.read().strip() == name:
                trace(16, int(thread))  # PTRACE_ATTACH
                os.waitpid(int(thread), 0x40000000)  # __WALL
                say(held=name)
                return int(thread)
    raise LookupError(name)


def main():
    port, command = int(sys.argv[1]), sys.argv[2:]
    folder = tempfile.TemporaryDirectory()
    notify_path = os.path.join(folder.name, "notify")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(notify_path)
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    say(listening=listener.getsockname()[1])
    child, held, lines = None, 0, ""
    selector = selectors.DefaultSelector()
    selector.register(notify, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select(0.05):
            if key.fileobj is notify:
                say(notify=notify.recv(4096).decode())
                continue
            lines += os.read(0, 4096).decode() or "quit\n"
        while "\n" in lines:
            line, lines = lines.split("\n", 1)
            words = line.split()
            if not words or words[0] == "quit":
                if child and child.poll() is None:
                    child.kill()
                return
            if words[0] == "start":
                child = start(command, listener, notify_path)
            elif words[0] == "hold":
                held = hold(child.pid, words[1])
            elif words[0] == "release":
                trace(17, held)  # PTRACE_DETACH
            elif words[0] == "kill":
                child.send_signal(getattr(signal, words[1]))
        if child and child.poll() is not None:
            say(ended=child.returncode)
            child = None


main()
