#!/usr/bin/env python3
"""Runs one of the examples' stories and checks what it says. Usage: check.py STORY FOLDER_OF_PROGRAMS"""
import json
import os
import subprocess
import sys

folder = sys.argv[2]


def run(program, *arguments, environment=None):
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("TERRAZZO_", "PYTORCH_", "CUBLAS_"))}
    variables.update(environment or {})
    return subprocess.run([os.path.join(folder, program), *arguments], env=variables, capture_output=True, text=True, timeout=280)


def run_json(program, *arguments, environment=None):
    done = run(program, "--device", "soft", "--json", *arguments, environment=environment)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def check_matmul(*arguments, environment=None):
    told = run_json("matmul", "--repeat", "3", *arguments, environment=environment)
    assert told["passed"] is True
    assert told["device"] == "soft"
    assert told["max_rel_error"] <= told["tolerance"] <= 1e-5
    assert told["rows_checked"] == told["m"]
    assert told["driver_calls_per_product"] == 0
    assert told["allocations_per_product"] == 2
    assert told["identical"] is True
    assert told["workspace_aligned_to"] >= 256
    return told


def refuse(code, text, program, *arguments):
    done = run(program, *arguments)
    assert done.returncode == code, f"exit {done.returncode} for {arguments}"
    assert text in done.stdout + done.stderr, f"{arguments}: {done.stdout}{done.stderr}"


def matmul_f32():
    told = check_matmul("--m", "256", "--n", "320", "--k", "512", "--type", "f32")
    assert told["workspace_bytes"] == 32 << 20
    assert told["segments"] == "expandable"


def matmul_f16():
    assert check_matmul("--m", "256", "--n", "256", "--k", "300", "--type", "f16")["type"] == "f16"


def matmul_bf16():
    assert check_matmul("--m", "256", "--n", "256", "--k", "300", "--type", "bf16")["type"] == "bf16"


def matmul_odd_shapes():
    for m, n, k in ((1, 1, 1), (7, 300, 1001), (33, 1, 5), (1, 65, 64)):
        check_matmul("--m", str(m), "--n", str(n), "--k", str(k), "--type", "bf16")


def matmul_settings():
    told = check_matmul("--m", "128", "--n", "128", "--k", "128", "--conf", "max_split_size_mb:64,expandable_segments:False")
    assert told["segments"] == "plain"
    assert "max_split_size_mb:64" in told["conf"]
    told = check_matmul("--m", "128", "--n", "128", "--k", "128", environment={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False"})
    assert told["segments"] == "plain"


def matmul_small_workspace():
    shape = ("--m", "128", "--n", "128", "--k", "256")
    assert check_matmul(*shape, environment={"CUBLAS_WORKSPACE_CONFIG": ":16:8"})["workspace_bytes"] == 128 << 10
    told = check_matmul(*shape, environment={"TERRAZZO_SOFTGPU": "capability=8.6"})
    assert told["workspace_bytes"] == 4 << 20
    assert "8.6" in told["workspace_origin"]


def matmul_without_virtual_memory():
    told = check_matmul("--m", "128", "--n", "128", "--k", "128", environment={"TERRAZZO_SOFTGPU": "vmm=0"})
    assert told["segments"] == "plain"


def matmul_bad_input():
    refuse(2, "max_split_size_mb", "matmul", "--device", "soft", "--conf", "max_splitsize_mb:3")
    refuse(2, "range", "matmul", "--m", "0")
    refuse(2, "f32", "matmul", "--type", "f64")
    refuse(2, "unit", "matmul", "--memory", "12XB")
    refuse(0, "--memory", "matmul", "--help")


def matmul_full_device():
    refuse(1, "out of memory", "matmul", "--device", "soft", "--memory", "20MiB")


def almost_full():
    told = run_json("almost_full")
    assert told["passed"] is True
    assert told["device_free_bytes"] == told["device_free_bytes_second_time"] == 512 << 20
    hand, terrazzo = told["by_hand"], told["terrazzo"]
    assert hand["succeeded"] is False
    assert hand["status"] in ("CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED")
    assert hand["held_bytes"] > 1.5 * told["live_peak_bytes"]
    assert terrazzo["succeeded"] is True
    assert terrazzo["status"] == "CUBLAS_STATUS_SUCCESS"
    assert terrazzo["max_rel_error"] <= 1e-5
    assert terrazzo["held_bytes"] <= 1.05 * told["live_peak_bytes"]
    assert run_json("almost_full", "--memory", "2GiB")["passed"] is True
    # A card with room for both is not the story, and the example says so.
    done = run("almost_full", "--device", "soft", "--memory", "100MiB")
    assert done.returncode == 2, done.stdout + done.stderr


globals()[sys.argv[1]]()
