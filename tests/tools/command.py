"""How the stories of tests/tools run the command `terrazzo`: check_*.py each hold some, functions marked @story.

Usage of each: check_X.py --list
               check_X.py STORY PROGRAM SOFTWARE_DRIVER FAKE_NVML_FOLDER
"""
import json
import os
import pty
import subprocess
import sys
import tempfile

GIB = 1 << 30
ESCAPE = "\x1b["
STORIES = {}
program, driver, fake_nvml = sys.argv[2:5] if len(sys.argv) >= 5 else ("", "", "")


def story(function):
    STORIES[function.__name__] = function
    return function


def environment(changes=None, soft="memory=8GiB"):
    """This one, without what the command looks at."""
    dropped = ("TERRAZZO_", "PYTORCH_", "TORCH_", "CUBLAS", "CUDA_", "NO_COLOR", "COLUMNS", "FAKE_NVML")
    variables = {k: v for k, v in os.environ.items() if not k.upper().startswith(dropped)}
    variables["TERM"] = "xterm"
    if soft is not None:
        variables.update(TERRAZZO_CUDA_DRIVER=driver, TERRAZZO_SOFTGPU=soft)
    variables.update(changes or {})
    return variables


def run(*arguments, changes=None, soft="memory=8GiB", expected=0):
    done = subprocess.run([program, *arguments], env=environment(changes, soft), capture_output=True, text=True, timeout=100)
    assert done.returncode == expected, f"exit {done.returncode} for {arguments}: {done.stdout}{done.stderr}"
    return done


def run_json(*arguments, **options):
    return json.loads(run(*arguments, "--json", **options).stdout)


def run_on_terminal(*arguments, changes=None):
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen([program, *arguments], env=environment(changes), stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    text = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux tells that the other end has gone
            break
        if not piece:
            break
        text += piece
    os.close(ours)
    running.wait(timeout=100)
    return text.decode()


def folder_without_driver():
    """Programs that look for libcuda.so.1 find a file that is none, even where there is a driver."""
    folder = tempfile.mkdtemp()
    open(os.path.join(folder, "libcuda.so.1"), "w").close()
    return folder


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(STORIES))
    else:
        STORIES[sys.argv[1]]()
