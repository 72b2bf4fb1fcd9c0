#!/usr/bin/env python3
"""Stories of `terrazzo devices`, `doctor`, and of what all commands have in common."""
import json
import os
import re
import subprocess

from command import ESCAPE, GIB, driver, environment, fake_nvml, folder_without_driver, main, program, run, run_json, run_on_terminal, story


@story
def version_tells_what_it_was_made_with():
    assert re.fullmatch(r"terrazzo \d+\.\d+\.\d+\n", run("--version").stdout)
    for arguments in (("--version",), ()):
        told = run_json(*arguments, "--version")
        assert re.fullmatch(r"\d+\.\d+\.\d+", told["version"])
        assert re.fullmatch(r"(g\+\+|clang) [\d.]+", told["compiler"])
        assert re.fullmatch(r"1[2-9]\.\d", told["cuda_headers"])


@story
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


@story
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


@story
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


@story
def devices_goes_on_after_a_device_that_fails():
    soft = "devices=2;memory=1GiB;0.context=2GiB"
    first, second = run_json("devices", soft=soft, expected=1)["devices"]
    assert "CUDA_ERROR_OUT_OF_MEMORY" in first["problem"] and first["total_bytes"] == GIB
    assert second["problem"] is None and second["free_bytes"] == GIB
    text = run("devices", soft=soft, expected=1).stdout
    assert "problem" in text and "device 1" in text and "1 GiB free" in text


@story
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


@story
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


@story
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


@story
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


@story
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


@story
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


@story
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


@story
def closed_and_full_outputs_are_no_crash():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([program, "generate", "man"], env=environment(), stdout=writer, stderr=subprocess.PIPE, timeout=100)
    os.close(writer)
    assert done.returncode == 0 and done.stderr == b"", done
    with open("/dev/full", "w") as full:
        done = subprocess.run([program, "devices"], env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=100)
    assert done.returncode == 1 and "stdout cannot be written: No space left" in done.stderr, done


if __name__ == "__main__":
    main()
