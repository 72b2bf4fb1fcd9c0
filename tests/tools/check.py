#!/usr/bin/env python3
"""Runs the command `terrazzo` and checks what it says. Usage: check.py STORY PROGRAM SOFTWARE_DRIVER FAKE_NVML_FOLDER"""
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile

story, program, driver, fake_nvml = sys.argv[1:]
GIB = 1 << 30
ESCAPE = "\x1b["


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


def version_tells_what_it_was_made_with():
    assert re.fullmatch(r"terrazzo \d+\.\d+\.\d+\n", run("--version").stdout)
    for arguments in (("--version",), ()):
        told = run_json(*arguments, "--version")
        assert re.fullmatch(r"\d+\.\d+\.\d+", told["version"])
        assert re.fullmatch(r"(g\+\+|clang) [\d.]+", told["compiler"])
        assert re.fullmatch(r"1[2-9]\.\d", told["cuda_headers"])


def bad_usage_exits_with_2_and_says_what_is_allowed():
    for arguments, parts in (
        ((), ("a command is missing after terrazzo", "devices, doctor", "terrazzo --help")),
        (("devces",), ("no command 'devces'", "the nearest is devices", "terrazzo --help")),
        (("something",), ("no command 'something'", "it has", "doctor")),
        (("devices", "--jsn"), ("terrazzo devices has no option --jsn", "the nearest is --json", "terrazzo devices --help")),
        (("--versoin",), ("no option --versoin", "the nearest is --version")),
        (("devices", "extra"), ("terrazzo devices does not take 'extra'",)),
        (("devices", "--color", "maybe"), ("--color", "'maybe'", "auto, always and never")),
        (("devices", "--driver"), ("--driver",)),
        (("devices", "--driver", "/nowhere/libcuda.so.1"), ("'/nowhere/libcuda.so.1' cannot be loaded", "give the path")),
        (("generate", "pdf"), ("man, bash, zsh or fish", "'pdf'")),
        (("generate",), ("kind",)),
        (("generate", "man", "--output", "/nowhere/terrazzo.1"), ("'/nowhere/terrazzo.1' cannot be written",)),
    ):
        done = run(*arguments, expected=2)
        assert done.stdout == "", done.stdout
        assert done.stderr.startswith("terrazzo: error: "), done.stderr
        for part in parts:
            assert part in done.stderr, (arguments, part, done.stderr)
    for arguments in (("--help",), ("devices", "--help"), ("doctor", "-h")):
        done = run(*arguments)
        assert "Usage: terrazzo" in done.stdout and done.stderr == "", arguments
    assert "generate" not in run("--help").stdout


def devices_tells_of_one_device():
    told = run_json("devices", soft="memory=8GiB;capability=8.6;granularity=64KiB;name=Card")
    assert os.path.samefile(told["driver"]["path"], driver)
    assert told["driver"]["version"] == "13.0"
    assert told["cublas"]["version"].startswith("13.")
    assert told["settings_problem"] is None
    (device,) = told["devices"]
    assert device["name"] == "Card" and device["device"] == 0 and device["problem"] is None
    assert device["uuid"].startswith("GPU-74657272-617a-7a6f-")
    assert device["compute_capability"] == "8.6"
    assert device["total_bytes"] == device["free_bytes"] == 8 * GIB and device["used_bytes"] == 0
    assert device["virtual_memory"] is True and device["virtual_memory_problem"] is None
    assert device["granularity_bytes"] == 64 << 10 and device["chunk_bytes"] == 2 << 20
    assert device["segments"] == "expandable"
    assert device["workspace"] == {"bytes": 4 << 20, "recommended_bytes": 4 << 20,
                                   "origin": "recommended for compute capability 8.6", "problem": None}
    text = run("devices", soft="memory=8GiB;capability=8.6;granularity=64KiB;name=Card").stdout
    for part in ("device 0: Card, compute capability 8.6", "8 GiB, of which 8 GiB free", "chunks of 2 MiB, granularity 64 KiB",
                 "expandable", "4 MiB for cuBLAS", "for CUDA 13.0"):
        assert part in text, (part, text)
    # The option names the driver as the variable does, and settings count.
    told = run_json("devices", "--driver", driver, soft=None,
                    changes={"TERRAZZO_CUDA_DRIVER": "/nowhere", "CUBLAS_WORKSPACE_CONFIG": ":16:8",
                             "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False"})
    (device,) = told["devices"]
    assert device["segments"] == "plain" and device["virtual_memory"] is True
    assert device["workspace"]["bytes"] == 128 << 10 and device["workspace"]["recommended_bytes"] == 32 << 20
    (device,) = run_json("devices", changes={"CUBLAS_WORKSPACE_CONFIG": "junk"})["devices"]
    assert device["workspace"]["bytes"] is None and "'junk'" in device["workspace"]["problem"]
    told = run_json("devices", changes={"TERRAZZO_ALLOC_CONF": "nonsense:1"})
    assert "nonsense" in told["settings_problem"]


def devices_tells_of_several_devices():
    soft = "devices=3;memory=4GiB;1.vmm=0;1.other=3GiB;2.granularity=32MiB;2.memory=512MiB;2.capability=12.0"
    first, second, third = run_json("devices", soft=soft)["devices"]
    assert [one["device"] for one in (first, second, third)] == [0, 1, 2]
    assert first["free_bytes"] == 4 * GIB and first["segments"] == "expandable"
    assert second["free_bytes"] == GIB and second["used_bytes"] == 3 * GIB
    assert second["virtual_memory"] is False and "CUDA_ERROR_NOT_SUPPORTED" in second["virtual_memory_problem"]
    assert second["segments"] == "plain" and second["chunk_bytes"] is None
    assert third["granularity_bytes"] == third["chunk_bytes"] == 32 << 20
    assert third["workspace"]["bytes"] == 32 << 20
    text = run("devices", soft=soft).stdout
    assert "plain, since mapping does not work" in text and "1 GiB free" in text, text
    # A full device is still told of: no room for one chunk says nothing against mapping.
    (full,) = run_json("devices", soft="memory=1GiB;other=1GiB")["devices"]
    assert full["free_bytes"] == 0 and full["virtual_memory"] is True


def devices_goes_on_after_a_device_that_fails():
    soft = "devices=2;memory=1GiB;0.context=2GiB"
    first, second = run_json("devices", soft=soft, expected=1)["devices"]
    assert "CUDA_ERROR_OUT_OF_MEMORY" in first["problem"] and first["total_bytes"] == GIB
    assert second["problem"] is None and second["free_bytes"] == GIB
    text = run("devices", soft=soft, expected=1).stdout
    assert "problem" in text and "device 1" in text and "1 GiB free" in text


def devices_names_who_holds_memory():
    for folder in ("16", "24", "32"):
        changes = {"LD_LIBRARY_PATH": os.path.join(fake_nvml, folder)}
        soft = "devices=2;memory=8GiB;0.other=5GiB"
        told = run_json("devices", changes=changes, soft=soft)
        assert told["management_library"]["problem"] is None
        trainer, desktop, this, nameless = told["devices"][0]["holders"]
        assert trainer == {"pid": 4000000001, "name": "/opt/trainer", "bytes": 3 * GIB, "this_command": False}
        assert desktop["name"] == "desktop" and desktop["bytes"] == 200 << 20
        assert this["this_command"] is True and this["bytes"] == 64 << 20
        assert nameless == {"pid": 4000000002, "name": None, "bytes": None, "this_command": False}
        assert told["devices"][1]["holders"] is None  # the library does not know it
        text = run("devices", changes=changes, soft=soft).stdout
        assert "3 GiB: /opt/trainer, process 4000000001" in text, text
        assert "unknown bytes: process 4000000002" in text
        assert "64 MiB: this command" in text
    told = run_json("devices", changes={"LD_LIBRARY_PATH": os.path.join(fake_nvml, "24"), "FAKE_NVML_FAILS": "1"})
    assert "nvmlInit failed: Driver Not Loaded (9)" in told["management_library"]["problem"]
    assert told["devices"][0]["holders"] is None
    # doctor names them when the device is almost full.
    changes = {"LD_LIBRARY_PATH": os.path.join(fake_nvml, "24")}
    (found,) = run_json("doctor", changes=changes, soft="memory=8GiB;other=7900MiB", expected=1)["findings"]
    assert found["check"] == "free-memory" and "/opt/trainer (process 4000000001, 3 GiB)" in found["why"]
    assert found["command"] == "kill 4000000001"


def devices_without_a_driver_says_what_to_do():
    changes = {"LD_LIBRARY_PATH": folder_without_driver()}
    done = run("devices", changes=changes, soft=None, expected=1)
    assert done.stdout == ""
    for part in ("'libcuda.so.1' cannot be loaded", "install NVIDIA's driver", "software GPU: --driver "):
        assert part in done.stderr, done.stderr
    path = done.stderr.split("--driver ")[1].strip()
    assert os.path.samefile(path, driver)
    told = run_json("devices", changes=changes, soft=None, expected=1)
    assert told["devices"] == [] and told["driver"]["version"] is None and told["driver"]["problem"]
    assert run_json("devices", "--driver", path, soft=None)["devices"][0]["problem"] is None
    assert "no CUDA-capable device" in run("devices", soft="devices=0", expected=1).stderr


def doctor_finds_nothing_on_a_sound_machine():
    told = run_json("doctor", soft="devices=2")
    assert told["healthy"] is True and told["errors"] == told["warnings"] == 0
    assert [one for one in told["findings"] if one["severity"] != "note"] == []
    assert len(told["checks"]) >= 14
    done = run("doctor")
    assert "nothing is wrong" in done.stdout and "1 device" in done.stdout and done.stderr == ""
    # A note is no reason to fail.
    told = run_json("doctor", changes={"CUBLAS_WORKSPACE_CONFIG": ":16:8"})
    assert told["healthy"] is True and "other-variables" in [one["check"] for one in told["findings"]]


def doctor_sorts_what_it_finds_and_exits_with_1():
    changes = {"CUBLAS_WORKSPACE_CONFIG": ":16:8", "CUDA_MODULE_LOADING": "EAGER", "CUBLASLT_HEURISTIC_MODE": "1",
               "PYTORCH_CUDA_ALLOC_CONFIG": "expandable_segments:True", "TERRAZZO_CUBLAS": "/nowhere/libcublas.so.13"}
    told = run_json("doctor", changes=changes, soft="devices=2;1.vmm=0", expected=1)
    severities = [one["severity"] for one in told["findings"]]
    order = ["error", "warning", "note"]
    assert severities == sorted(severities, key=order.index), severities
    assert severities.count("error") == told["errors"] == 1 and severities.count("warning") == told["warnings"] == 4
    by_check = {one["check"]: one for one in told["findings"]}
    assert by_check["named-files"]["command"] == "unset TERRAZZO_CUBLAS"
    assert by_check["mapping"]["command"] == "export TERRAZZO_ALLOC_CONF=expandable_segments:False"
    assert "unset CUDA_MODULE_LOADING" in [one["command"] for one in told["findings"] if one["check"] == "other-variables"]
    assert by_check["misspelt-variables"]["command"] == (
        'export PYTORCH_CUDA_ALLOC_CONF="$PYTORCH_CUDA_ALLOC_CONFIG"; unset PYTORCH_CUDA_ALLOC_CONFIG')
    assert all(one["what"] and one["why"] for one in told["findings"])
    text = run("doctor", changes=changes, soft="devices=2;1.vmm=0", expected=1).stdout
    assert "1 error, 4 warnings, 1 note" in text and "$ unset TERRAZZO_CUBLAS" in text, text
    # What a command mends is not found again.
    shell = by_check["misspelt-variables"]["command"] + f"; '{program}' doctor"
    mended = subprocess.run(["sh", "-c", shell], env=environment({"PYTORCH_CUDA_ALLOC_CONFIG": "max_split_size_mb:64"}),
                            capture_output=True, text=True, timeout=100)
    assert mended.returncode == 0 and "ALLOC_CONFIG" not in mended.stdout, mended.stdout


def doctor_without_a_driver_says_what_to_do():
    changes = {"LD_LIBRARY_PATH": folder_without_driver()}
    told = run_json("doctor", changes=changes, soft=None, expected=1)
    first = told["findings"][0]
    assert first["severity"] == "error" and first["check"] in ("driver", "device-nodes"), first
    assert first["command"]
    told = run_json("doctor", "--driver", "/nowhere/libcuda.so.1", expected=1)
    assert told["findings"][0]["what"] == "--driver names '/nowhere/libcuda.so.1', which does not exist"
    told = run_json("doctor", soft="devices=0", expected=1)
    assert told["findings"][0]["command"] == "unset TERRAZZO_SOFTGPU"


def colours_are_for_terminals_alone():
    for arguments in (("devices",), ("doctor",)):
        assert ESCAPE not in run(*arguments).stdout
        assert ESCAPE not in run(*arguments, "--color", "never").stdout
        assert ESCAPE in run(*arguments, "--color", "always").stdout
        assert ESCAPE in run(*arguments, "--color=always", changes={"NO_COLOR": "1"}).stdout
        assert ESCAPE in run_on_terminal(*arguments)
        assert ESCAPE in run_on_terminal(*arguments, changes={"NO_COLOR": ""})
        for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            assert ESCAPE not in run_on_terminal(*arguments, changes=changes)
        assert ESCAPE not in run_on_terminal(*arguments, "--color", "never")
    assert ESCAPE not in run("devces", expected=2).stderr
    assert ESCAPE in run("--color", "always", "devces", expected=2).stderr
    # Text is broken to the terminal's width.
    lines = run_on_terminal("devices", "--color", "never", changes={"COLUMNS": "60"}).splitlines()
    assert max(map(len, lines)) <= 60 or any("/" in line for line in lines if len(line) > 60), lines


def json_is_all_that_stdout_has():
    for arguments in (("devices",), ("doctor",), ("--version",), ("generate", "bash")):
        told = run_json(*arguments, "--color", "always")
        assert isinstance(told, dict)
    # A value that is no UTF-8 is no reason to fail.
    variables = {os.fsencode(k): os.fsencode(v) for k, v in environment().items()}
    variables[b"CUDA_MODULE_LOADING"] = b"\xff\xfe"
    done = subprocess.run([program, "doctor", "--json"], env=variables, capture_output=True, timeout=100)
    assert done.returncode == 1
    assert "CUDA_MODULE_LOADING" in json.loads(done.stdout)["findings"][0]["what"]


def closed_and_full_outputs_are_no_crash():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([program, "generate", "man"], env=environment(), stdout=writer, stderr=subprocess.PIPE, timeout=100)
    os.close(writer)
    assert done.returncode == 0 and done.stderr == b"", done
    with open("/dev/full", "w") as full:
        done = subprocess.run([program, "devices"], env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=100)
    assert done.returncode == 1 and "stdout cannot be written: No space left" in done.stderr, done


def commands():
    """All commands that the help shows, as words after `terrazzo`."""
    help_text = run("--help").stdout
    return re.findall(r"^  (\w[\w-]*)  +", help_text.split("Subcommands:")[1], re.M)


def config_explain_tells_what_settings_do():
    told = run_json("config", "explain", "garbage_collection_threshold:0.8,max_split_size_mb:128")["strings"][0]
    assert told["accepted"] and told["variable"] == "PYTORCH_CUDA_ALLOC_CONF" and told["use"] == "max_split_size_mb:128"
    collection, split = told["settings"]
    assert not collection["pytorch"]["acts"] and "per_process_memory_fraction" in collection["advice"]
    assert split["pytorch"]["acts"] and not split["terrazzo"]["acts"]

    shown = run("config", "explain", 'export PYTORCH_CUDA_ALLOC_CONF="max_split_size_mb=512,expandable_segments:True"', expected=2)
    lines = shown.stdout.splitlines()
    string = next(i for i, line in enumerate(lines) if "max_split_size_mb=512" in line)
    assert lines[string + 1].index("^") == lines[string].index("="), shown.stdout
    assert lines[-2] == "Use: expandable_segments:True" and "refused" in lines[0]

    # A string wider than the terminal is shown around its mistake.
    wide = run_on_terminal("config", "explain", "max_split_size_mb:64,roundup_power2_divisions:4,pinned_num_register_threads:8,banana:1", changes={"COLUMNS": "60", "NO_COLOR": "1"})
    around = next(i for i, line in enumerate(wide.splitlines()) if line.startswith("  ..."))
    shown, carets = wide.splitlines()[around:around + 2]
    assert len(shown) <= 60 and shown[carets.index("^"):].startswith("banana"), wide


def config_explain_reads_the_environment():
    assert "No config variable is set" in run("config", "explain").stdout
    told = run_json("config", "explain", expected=2, changes={
        "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64MB", "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "TERRAZZO_ALLOC_CONF": "limt_mb:64", "CUBLASLT_HEURISTIC_MODE": "1", "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"})
    first, second, own = told["strings"]
    assert first["accepted"] and first["problems"][0]["severity"] == "warning"
    assert not second["in_force"] and "PYTORCH_CUDA_ALLOC_CONF is set" in second["advice"][0]
    assert own["variable"] == "TERRAZZO_ALLOC_CONF" and not own["accepted"] and own["use"] == "limit_mb:64"
    by_name = {each["name"]: each for each in told["variables"]}
    assert "no such variable" in by_name["CUBLASLT_HEURISTIC_MODE"]["effect"]
    assert "turns the cache" in by_name["PYTORCH_NO_CUDA_MEMORY_CACHING"]["effect"]
    run("config", "explain", expected=0, changes={"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"})


def config_explain_knows_platforms():
    def told(*arguments):
        return run_json("config", "explain", "expandable_segments:True", *arguments)["strings"][0]["settings"][0]
    assert told("--platform", "linux")["advice"] is None
    assert "2.13" in told("--platform", "windows")["advice"]
    run("config", "explain", "a:1", "--platform", "beos", expected=2)
    hip = run_json("config", "explain", "backend:native", "--as", "PYTORCH_HIP_ALLOC_CONF")["strings"][0]
    assert "backend is skipped" in " ".join(hip["advice"])


def config_check_points_at_what_is_wrong():
    assert run("config", "check", "max_split_size_mb:64, expandable_segments:False").stdout == "max_split_size_mb:64,expandable_segments:False\n"
    assert run("config", "check", "").stdout == "\n"
    wrong = run("config", "check", "max_split_size_mb:64,expandable_segments:true", expected=2)
    assert wrong.stdout == ""
    lines = wrong.stderr.splitlines()
    assert lines[1].index("^") == 2 + len("max_split_size_mb:64,expandable_segments:") and "True or False" in lines[2]
    assert "meant: max_split_size_mb:64,expandable_segments:True" in wrong.stderr
    # What PyTorch takes, strict reading does not.
    sloppy = "max_split_size_mb:64MB,"
    run("config", "check", sloppy, expected=2)
    lenient = run("config", "check", sloppy, "--lenient")
    assert lenient.stdout == "max_split_size_mb:64\n" and "column 19" in lenient.stderr and "column 23" in lenient.stderr
    told = run_json("config", "check", sloppy, expected=2)
    assert not told["valid"] and told["reading"] == "strict" and told["canonical"] is None
    assert told["problems"][0]["column"] == 19 and told["problems"][0]["meant"] == "max_split_size_mb:64,"
    told = run_json("config", "check", sloppy, "--lenient")
    assert told["valid"] and told["canonical"] == "max_split_size_mb:64" and len(told["problems"]) == 2
    run("config", "check", "limit_mb:64")
    run("config", "check", "limit_mb:64", "--lenient", expected=2)
    run("config", "check", "banana:\x01\xff", expected=2)
    run("config", "check", expected=2)


def config_fix_prints_the_string_to_use():
    fixed = run("config", "fix", "garbage_collect_threshold:0.6,max_split_size_mb=128MB")
    assert fixed.stdout == "max_split_size_mb:128\n"
    assert "without garbage_collection_threshold:0.6" in fixed.stderr and "column 48" in fixed.stderr
    assert run("config", "fix", fixed.stdout.strip()).stderr == ""
    assert "unset PYTORCH_CUDA_ALLOC_CONF" in run("config", "fix", "backend:native").stderr
    assert "no setting can be made out" in run("config", "fix", "banana", expected=2).stderr
    told = run_json("config", "fix", "expandable_segments:True,max_split_size_mb:64")
    assert told["string"] == "expandable_segments:True" and len(told["changes"]) == 1
    assert run("config", "fix", "limit_mb:64", "--as", "TERRAZZO_ALLOC_CONF").stdout == "limit_mb:64\n"


def config_keys_come_from_one_table():
    keys = run_json("config", "keys")
    assert len(keys) >= 24 and {"key", "takes", "default", "acts_in_terrazzo", "help"} <= set(keys[0])
    shown, page, usage = run("config", "keys").stdout, run("config", "keys", "--markdown").stdout, run("config", "--help").stdout
    for each in keys:
        assert each["key"] in shown and f"`{each['key']}`" in page and each["key"] in usage, each


def pages_of_the_documentation_are_up_to_date():
    repository = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    done = subprocess.run([os.path.join(repository, "scripts", "update-docs"), "--check", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


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


globals()[story]()
