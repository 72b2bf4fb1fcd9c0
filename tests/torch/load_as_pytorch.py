#!/usr/bin/env python3
"""Loads the door as torch.cuda.memory.CUDAPluggableAllocator does: ctypes.CDLL, getattr, cast to a void pointer; then
calls through the two numbers, which is all that PyTorch keeps. No exception may cross ctypes, so failures are tested
elsewhere. Ends by leaving blocks live, as PyTorch does at exit.

Usage: load_as_pytorch.py LIBRARY
"""
import ctypes
import sys
import threading


def load(path, name):
    return ctypes.cast(getattr(ctypes.CDLL(path), name), ctypes.c_void_p).value


def main(path):
    malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p)(
        load(path, "terrazzo_malloc"))
    free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p)(
        load(path, "terrazzo_free"))

    assert malloc(0, 0, None) is None
    live = {}
    for size in (1, 512, 100_000, 1 << 20, 5 << 20, 30 << 20):
        for device in (0, 1):
            for stream in (None, 4096):
                block = malloc(size, device, stream)
                assert block and block % 512 == 0, (size, device, stream, block)
                assert block not in live, hex(block)
                live[block] = (size, device, stream)
                ctypes.memset(block, 0x5A, size)
    for block, (size, device, stream) in list(live.items())[::2]:
        assert ctypes.string_at(block, size) == b"\x5a" * size
        free(block, size, device, stream)
        del live[block]
    free(None, 0, 0, None)

    faults = []

    def worker():
        for _ in range(200):
            block = malloc(4096, 0, None)
            if not block or block in live:
                faults.append(block)
            free(block, 4096, 0, None)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults
    assert live, "blocks stay live over the exit"


if __name__ == "__main__":
    main(sys.argv[1])
