#!/usr/bin/env python3
"""Stories of `terrazzo config`."""
import os
import subprocess

from command import main, program, run, run_json, run_on_terminal, story


@story
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


@story
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


@story
def config_explain_knows_platforms():
    def told(*arguments):
        return run_json("config", "explain", "expandable_segments:True", *arguments)["strings"][0]["settings"][0]
    assert told("--platform", "linux")["advice"] is None
    assert "2.13" in told("--platform", "windows")["advice"]
    run("config", "explain", "a:1", "--platform", "beos", expected=2)
    hip = run_json("config", "explain", "backend:native", "--as", "PYTORCH_HIP_ALLOC_CONF")["strings"][0]
    assert "backend is skipped" in " ".join(hip["advice"])


@story
def config_explain_tells_what_terrazzos_own_keys_do():
    told = run_json("config", "explain", "on_miss:fail,limit_mb:64", "--as", "TERRAZZO_ALLOC_CONF")["strings"][0]
    fail, limit = told["settings"]
    assert fail["severity"] == "warning" and fail["terrazzo"]["acts"] and "on_miss:create" in fail["advice"], fail
    assert limit["severity"] == "fine" and told["use"] == "limit_mb:64"
    wrong = run("config", "check", "on_miss:creat", expected=2)
    assert "move, create or fail" in wrong.stderr and "meant: on_miss:create" in wrong.stderr
    assert run("config", "check", "on_miss:create,expandable_segments_reserve:40g").stdout == "on_miss:create,expandable_segments_reserve:40G\n"


@story
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


@story
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


@story
def config_keys_come_from_one_table():
    keys = run_json("config", "keys")
    assert len(keys) >= 25 and {"key", "takes", "default", "acts_in_terrazzo", "help"} <= set(keys[0])
    shown, page, usage = run("config", "keys").stdout, run("config", "keys", "--markdown").stdout, run("config", "--help").stdout
    for each in keys:
        assert each["key"] in shown and f"`{each['key']}`" in page and each["key"] in usage, each


@story
def pages_of_the_documentation_are_up_to_date():
    repository = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    done = subprocess.run([os.path.join(repository, "scripts", "update-docs"), "--check", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    main()
