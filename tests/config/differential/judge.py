#!/usr/bin/env python3
"""Asks PyTorch what it makes of config strings, and prints its verdicts for differential_test.cpp.

Usage: python tests/config/differential/judge.py [--seed N] > tests/config/differential/verdicts.tsv

Needs a CUDA build of torch, g++ and the CUDA headers ($CUDA_HEADERS_DIR, else /usr/local/cuda/include), but no device:
without one PyTorch still reads config strings, and its headers show the values that it has read.

Two ways to give PyTorch a string:
  set          torch._C._accelerator_setAllocatorSettings in a child forked before any other string. A row of two strings
               gives them one after the other: some settings stick.
  environment  PYTORCH_CUDA_ALLOC_CONF of a new process; for strings that name a backend, which is chosen when the
               library is loaded. There a broken string can end the process; that counts as refused. A preloaded
               cudaDriverGetVersion stands in for a driver, for which backend:cudaMallocAsync looks.

The output: comments with `#`; PyTorch's errors as `! number <tab> class: first line`, words between quotes replaced by *;
then a row a line: verdict <tab> values <tab> warnings <tab> string [<tab> second string].
  verdict   + accepted, else the number of the error; of the second string if there are two
  values    key=value;... of the settings that differ from PyTorch's defaults, in bytes where the key says mb (but for
            pinned_reserve_segment_size_mb, which PyTorch keeps in MiB)
  warnings  what PyTorch printed: reserve:N for N ignored reserves, pinned, async
  string    with \\t \\n \\r \\\\ and \\xNN for bytes that do not print
"""

import argparse
import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the tree stays clean
import strings  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
DRIVER = "int cudaDriverGetVersion(int* version) { *version = 13000; return 0; }\n"
SECONDS = 10  # a child that takes longer hangs


def escape(text: bytes) -> str:
    names = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x5C: "\\\\"}
    return "".join(names.get(b) or (chr(b) if 0x20 <= b < 0x7F else f"\\x{b:02x}") for b in text)


def first_line(message: str) -> str:
    """The message without what differs from machine to machine or from word to word."""
    line = message.split("\n")[0]
    line = re.sub(r'at "[^"]*/(c10/[^"]*)":\d+, please report a bug to PyTorch\.', r"at \1:", line)
    line = re.sub(r"(key|got) '.*'", r"\1 '*'", line)
    return re.sub(r"(got|at index) \d+", r"\1 *", line).rstrip()


def warnings_in(printed: str) -> str:
    found = []
    ignored = printed.count("Warning: Ignoring invalid expandable-segment reserve value")
    if ignored:
        found.append(f"reserve:{ignored}")
    if "takes precedence" in printed:
        found.append("pinned")
    if "backend:cudaMallocAsync ignores" in printed:
        found.append("async")
    return ";".join(found)


def build(folder: pathlib.Path, torch_folder: pathlib.Path) -> None:
    headers = os.environ.get("CUDA_HEADERS_DIR", "/usr/local/cuda/include")
    libraries = torch_folder / "lib"
    (folder / "driver.c").write_text(DRIVER)
    subprocess.run(["gcc", "-shared", "-fPIC", folder / "driver.c", "-o", folder / "driver.so"], check=True)
    subprocess.run(
        ["g++", "-std=c++20", "-w", "-shared", "-fPIC", f"-I{torch_folder}/include", f"-I{headers}",
         HERE / "torch_settings.cpp", f"-L{libraries}", "-lc10", "-lc10_cuda", f"-Wl,-rpath,{libraries}",
         "-o", folder / "settings.so"], check=True)


def load(folder: pathlib.Path):
    library = ctypes.CDLL(str(folder / "settings.so"))
    library.torch_settings.restype = ctypes.c_char_p
    return library.torch_settings


class Judge:
    def __init__(self, folder: pathlib.Path):
        import torch

        self.version = torch.__version__
        self.folder = folder
        build(folder, pathlib.Path(torch.__file__).parent)
        self.set = torch._C._accelerator_setAllocatorSettings
        self.settings = load(folder)
        self.defaults = set(self.in_a_child([]).splitlines()[1:])

    def in_a_child(self, texts: list[bytes]) -> str:
        """Sets the strings one after the other and returns a line with the verdict, then the settings in force."""
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(SECONDS)
            os.dup2(write_end, 2)
            verdict = "+"
            for text in texts:
                if verdict != "+":
                    verdict = "? the first string is refused"
                    break
                try:
                    self.set(text)
                except UnicodeDecodeError:  # of the message, which repeats a word of the string
                    verdict = "! ValueError: (a message that is not UTF-8)"
                except Exception as error:
                    verdict = f"! {type(error).__name__}: {first_line(str(error))}"
            os.write(write_end, f"\n>>>\n{verdict}\n".encode() + self.settings())
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            output = pipe.read().decode(errors="replace")
        status = os.waitpid(child, 0)[1]
        if status != 0:
            return f"? the process ended with {status}"
        self.printed, answer = output.split("\n>>>\n")
        return answer

    def in_a_process(self, text: bytes) -> str:
        environment = dict(os.environb)
        environment[b"PYTORCH_CUDA_ALLOC_CONF"] = text
        environment[b"LD_PRELOAD"] = str(self.folder / "driver.so").encode()
        done = subprocess.run([sys.executable, __file__, "--in-a-process", self.folder], env=environment,
                              capture_output=True, timeout=SECONDS)
        self.printed = done.stderr.decode(errors="replace")
        answer = done.stdout.decode(errors="replace")
        if done.returncode == -signal.SIGABRT:
            what = re.search(r"instance of 'c10::(\w+)'\s+what\(\): *(.*)", self.printed)
            return f"! ends the process: {what[1]}: {first_line(what[2])}" if what else "? the process aborts"
        if done.returncode != 0:
            return f"? the process ended with {done.returncode}"
        if answer.startswith("! "):
            return "! " + first_line(answer[2:])
        return "+\n" + answer

    def row(self, texts: tuple[bytes, ...]) -> tuple[str, str, str]:
        named = len(texts) == 1 and b"backend" in b"".join(texts[0].split())
        answer = self.in_a_process(texts[0]) if named else self.in_a_child(list(texts))
        verdict, _, values = answer.partition("\n")
        if verdict != "+":
            return verdict, "", ""
        changed = ";".join(line for line in values.splitlines() if line not in self.defaults)
        return verdict, changed, warnings_in(self.printed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-a-process", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.in_a_process:
        print(load(arguments.in_a_process)().decode(errors="replace"), end="")
        return
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(pathlib.Path(folder))
        errors: dict[str, int] = {}
        rows, left_out = [], []
        for texts in strings.generate(arguments.seed):
            verdict, values, warned = judge.row(texts)
            escaped = "\t".join(map(escape, texts))
            if verdict.startswith("? "):
                if "first string" not in verdict:
                    left_out.append(f"# left out: {verdict[2:]}: {escaped}")
                continue
            if verdict != "+":
                verdict = str(errors.setdefault(verdict[2:], len(errors) + 1))
            rows.append(f"{verdict}\t{values}\t{warned}\t{escaped}")
    accepted = sum(row.startswith("+") for row in rows)
    print(f"# torch {judge.version}; judge.py --seed {arguments.seed}; {len(rows)} rows, {accepted} accepted")
    print("\n".join(left_out + [f"! {number}\t{error}" for error, number in errors.items()] + rows))


if __name__ == "__main__":
    main()
