"""What is told of processes."""

import subprocess
import sys

import pytest

from benchmarks.machine import wait_until_idle


def test_who_is_measured_next_is_not_begun_with_before_the_last_is_idle() -> None:
    busy = "import sys, threading; threading.Thread(target=sys.stdin.read).start()\n"
    busy += (
        "while threading.active_count() > 1: pass\nprint(flush=True)\nsys.stdout.close()\nimport time; time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with pytest.raises(TimeoutError, match=str(process.pid)):
            wait_until_idle(process.pid, patience_s=0.5)
        process.stdin.close()
        process.stdout.read(1)
        wait_until_idle(process.pid, patience_s=30)
        process.kill()
