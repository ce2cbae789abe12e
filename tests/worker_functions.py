"""Functions for worker processes, which import them by name."""

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    return number * number


def later_if_even(number: int) -> int:
    time.sleep(0.2 if number % 2 == 0 else 0)
    return number


def die_when_told(how: int | str) -> int | str:
    """Die as told: by a signal's name, or with an exit status; other items come back."""
    if isinstance(how, int):
        os._exit(how)
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
        time.sleep(60)
    return how


def hang_at_two(number: int) -> int:
    if number == 2:
        time.sleep(600)
    return number


def fail_at_two(number: int) -> int:
    if number == 2:
        raise KeyError("two")
    return number


def own_timeout(number: int) -> int:
    """Raise what a network file system raises when it does not answer."""
    raise TimeoutError(110, "Connection timed out")


def process_id(_: int) -> int:
    return os.getpid()


def announce_and_hang(name: str) -> None:
    """Write this process's id to a file, and never come back; as a codec may."""
    aside = Path(name + ".new")
    aside.write_text(str(os.getpid()))
    aside.rename(name)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    time.sleep(600)


def print_from_c(text: str) -> str:
    """Write to standard output as a C library does, past sys.stdout."""
    os.write(1, text.encode())
    return text


def kill_parent_when_told(how: str) -> str:
    """Kill the process that started this one, as when a machine is lost; others come back."""
    if how == "kill":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return how


def slow_square(number: int) -> int:
    time.sleep(0.05)
    return number * number
