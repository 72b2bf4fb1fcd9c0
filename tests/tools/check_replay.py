#!/usr/bin/env python3
"""Stories of `terrazzo replay`."""
import collections
import csv
import json
import os
import subprocess
import tempfile
import xml.etree.ElementTree

from command import driver, environment, main, program, run, run_json, story


TRACES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "traces")


def trace(name):
    return os.path.join(TRACES, name + ".pickle.xz")


@story
def replay_tells_how_little_memory_programs_need():
    # PyTorch's native allocator needs these shares of the peak (tests/traces/README.md); its rules are ours.
    native = {"train_varlen": 1.046, "conv_multires": 1.040, "serve_streams": 2.098}
    told = run_json("replay", *map(trace, native), "--fit", "--conf", "", "--conf", "expandable_segments:False", "--driver", driver)
    assert [(each["trace"], each["conf"]) for each in told] == [
        (name, conf) for name in native for conf in ("", "expandable_segments:False")]
    for each in told:
        share = each["smallest_device_bytes"] / each["peak_live_bytes"]
        assert each["completed"] and each["problem"] is None and each["completion"] == "free"
        assert each["peak_live_bytes"] <= each["reserved_peak_bytes"] <= each["smallest_device_bytes"]
        assert share <= native[each["trace"]] * 1.03 if each["conf"] else share <= (1.005 if each["streams"] == 1 else 1.05), each
        assert each["ns_per_event"] > 0 and each["priced_driver_ms"] >= 0 and each["driver_calls"]
        assert (each["moved_bytes"] > 0) == (each["conf"] == "")


@story
def replay_ends_where_memory_runs_out():
    told = run_json("replay", trace("conv_multires"), "--memory", "1GiB", "--driver", driver, expected=1)[0]
    assert not told["completed"] and "out of memory" in told["problem"] and told["failed_operation"] > 0
    text = run("replay", trace("conv_multires"), "--memory", "1 GiB", "--driver", driver, expected=1).stdout
    assert "no, at operation" in text and "out of memory on device 0" in text


@story
def replay_knows_when_streams_finish():
    needed = {when: run_json("replay", trace("serve_streams"), "--memory", "4GiB", "--completion", when, "--driver", driver)[0]
              for when in ("free", "delay:50", "never")}
    assert all(each["completed"] for each in needed.values())
    assert needed["never"]["completion"] == "never"


@story
def replay_refuses_what_it_cannot_understand():
    some = trace("conv_multires")
    for arguments, part in (
        ((os.path.abspath(__file__),), "check_replay.py: is neither a PyTorch snapshot"),
        ((os.path.join(TRACES, "none"),), "none"),
        ((some, "--memory", "much"), "--memory takes a size such as 6GiB"),
        ((some, "--memory", "-1"), "got '-1'"),
        ((some, "--completion", "later"), "--completion takes free, never or delay:N"),
        ((some, "--completion", "delay:"), "got 'delay:'"),
        ((some, "--conf", "expandable_segment:True"), "nearest is expandable_segments"),
        ((some, "--costs", os.path.abspath(__file__)), "check_replay.py, line 2: expected a driver function"),
        ((some, "--svg", "/nowhere/picture.svg"), "'/nowhere/picture.svg' cannot be written"),
        ((some, "--device", "0", "--fit"), "are for the software GPU"),
        ((some, "--driver", "/nowhere/libcuda.so"), "'/nowhere/libcuda.so' cannot be loaded"),
        ((), "trace"),
    ):
        done = run("replay", "--driver", driver, *arguments, expected=2) if "--driver" not in arguments else run(
            "replay", *arguments, expected=2)
        assert part in done.stderr and done.stdout == "", (arguments, done.stderr)


@story
def replay_draws_pictures_and_writes_values():
    with tempfile.TemporaryDirectory() as folder:
        picture, costs = os.path.join(folder, "replay.svg"), os.path.join(folder, "costs.csv")
        with open(costs, "w") as file:
            file.write("function,a,b\n# free of charge\n" + "".join(f"{name},0,0\n" for name in (
                "cuMemCreate", "cuMemMap", "cuMemSetAccess", "cuMemUnmap", "cuMemRelease", "cuMemAddressReserve")))
        done = run("replay", trace("conv_multires"), "--svg", picture, "--csv", "--costs", costs, "--conf", "", "--conf",
                   "expandable_segments:False", "--driver", driver)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        assert [row["conf"] for row in rows] == ["", "expandable_segments:False"] and rows[0]["completed"] == "1"
        assert float(rows[0]["priced_driver_ms"]) == 0
        root = xml.etree.ElementTree.parse(picture).getroot()
        kinds = collections.Counter(each.tag.split("}")[1] for each in root.iter())
        assert root.tag.endswith("svg") and kinds["polyline"] == 6 and kinds["rect"] > 100
    # An own trace from stdin, with a block that stays.
    done = subprocess.run([program, "replay", "-", "--json", "--driver", driver], input="terrazzo trace 1\na 0 0 1000\na 1 1 5000000\nf 0\n",
                          env=environment(), capture_output=True, text=True, timeout=100)
    told = json.loads(done.stdout)[0]
    assert told["peak_live_bytes"] == 1024 + 5000192 and told["operations"] == 3, told


if __name__ == "__main__":
    main()
