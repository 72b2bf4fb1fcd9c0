#!/usr/bin/env python3
"""Stories of the manual and the completions."""
import os
import re
import shutil
import subprocess
import tempfile

from command import driver, environment, main, run, story


def commands():
    """All commands that the help shows, as words after `terrazzo`."""
    help_text = run("--help").stdout
    return re.findall(r"^  (\w[\w-]*)  +", help_text.split("Subcommands:")[1], re.M)


@story
def manual_is_sound_roff():
    manual = run("generate", "man").stdout
    assert manual.startswith(".\\\" Made by") and ".TH TERRAZZO 1" in manual
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT"):
        assert f"\n.SH {section}\n" in manual, section
    for name in commands():
        assert f"\n.SS terrazzo {name}\n" in manual, name
    assert "generate" not in manual.split("\n", 1)[1]
    for line in manual.splitlines():
        assert not line.startswith("'"), line
        assert not re.match(r"\.(?!\\\"|TH|SH|SS|TP|br|B |BR )", line), line
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=manual, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert "terrazzo devices" in re.sub(".\b", "", done.stdout)
    if shutil.which("man"):
        with tempfile.NamedTemporaryFile("w", suffix=".1") as page:
            page.write(manual)
            page.flush()
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", page.name], env={**environment(), "MANWIDTH": "80"},
                                  capture_output=True, text=True, timeout=100)
        assert done.stderr == "", done.stderr


@story
def bash_completes_commands_options_and_values():
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "terrazzo.bash")
        run("generate", "bash", "--output", file)
        open(os.path.join(folder, "a driver.so"), "w").close()

        def complete(*words):
            script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _terrazzo; printf "%s\\n" "${COMPREPLY[@]}"'
            done = subprocess.run(["bash", "--norc", "-u", "-c", script, "bash", file, "terrazzo", *words],
                                  capture_output=True, text=True, timeout=100, cwd=folder)
            assert done.returncode in (0, 1) and done.stderr == "", done
            return [line for line in done.stdout.splitlines() if line]

        assert set(commands()) <= set(complete("")) and "--version" in complete("")
        assert complete("dev") == ["devices"]
        assert set(complete("devices", "--")) == {"--help", "--json", "--color", "--driver"}
        assert complete("devices", "--js") == ["--json"]
        assert complete("devices", "--json", "--dr") == ["--driver"]
        assert complete("--json", "doc") == ["doctor"]
        assert complete("devices", "--color", "al") == ["always"]
        assert complete("devices", "--color", "=") == ["auto", "always", "never"]
        assert complete("devices", "--color", "=", "ne") == ["never"]
        assert complete("devices", "--driver", "a") == ["a driver.so"]
        assert complete("devices", "x") == []


@story
def zsh_and_fish_can_read_their_completions():
    for shell in ("zsh", "fish"):
        text = run("generate", shell).stdout
        for name in commands():
            assert name in text, (shell, name)
        assert "--json" in text or "-l json" in text
        if shutil.which(shell):
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(text)
                file.flush()
                done = subprocess.run([shell, "-n", file.name], capture_output=True, text=True, timeout=100)
            assert done.returncode == 0 and done.stderr == "", done.stderr


if __name__ == "__main__":
    main()
