"""Makes config strings for judge.py: sound ones, and broken in every way that came to mind. Seeded."""

import itertools
import random

MEBIBYTES = ["large_segment_size_mb", "max_split_size_mb", "max_non_split_rounding_mb",
             "pinned_max_round_threshold_mb", "pinned_max_cached_size_mb", "pinned_reserve_segment_size_mb"]
REALS = ["garbage_collection_threshold", "per_process_memory_fraction"]
BOOLEANS = ["expandable_segments", "pinned_use_background_threads", "release_lock_on_cudamalloc",
            "release_lock_on_hipmalloc", "pinned_use_cuda_host_register", "pinned_use_hip_host_register",
            "graph_capture_record_stream_reuse", "pinned_free_catch_all", "throw_on_cudamalloc_oom"]
OTHERS = ["roundup_power2_divisions", "pinned_num_register_threads", "backend", "expandable_segments_reserve",
          "expandable_segments_reserve_by_class"]
KEYS = MEBIBYTES + REALS + BOOLEANS + OTHERS
FOREIGN = ["limit_mb", "headroom_mb", "foo", "Max_split_size_mb", "max_split_size", "max-split-size-mb",
           "expandable_segments_handle_type", "EXPANDABLE_SEGMENTS", "0", ">", "native", "True",
           "release_lock_on_cudamallo", "backendx", "large_segment_size_mbx"]

WHOLE = ["0", "1", "2", "3", "4", "8", "9", "10", "11", "15", "19", "20", "21", "25", "30", "40", "64", "127", "128",
         "129", "256", "512", "1024", "4096", "32768", "65536", "1048576"]
HUGE = ["17592186044415", "17592186044416", "17592186044417", "9223372036854775807", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "99999999999999999999", "1" + "0" * 60]
ODD_WHOLE = ["+30", "-1", "-0", "+0", "-20", "-18446744073709551586", "-18446744073709551615", "-18446744073709551616",
             "--1", "+-1", "-+1", "++1", "40MB", "40M", "2G", "40MiB", "1e3", "12e3", "40.9", "40.", ".5", "0x28",
             "0X28", "x", "MB", "030", "000000000000000000000000000040", "4 0", "4\t0", " 40", "40 ", "4_0", "4'0",
             "40;", "40=", "+", "-", "\u0664\u0660", "\uff14\uff10", "40\u00a0", "\u00a040", "1,0", "40%", "0b1", "1L",
             "25u", "32f"]
ODD_REAL = ["0.5", "0.8", "0.8x", "0.999999999999999999999", "0.9999999999999999", "1.0", "1.0000000000000001",
            "1.0000000000000002", "1.2", "-0.1", "-0.0", "+0.25", ".5", "5.", ".", "..5", "0..5", "0,5", "5e-1", "5E-1",
            "5e", "0.5e", "0.5e+", "0.5e-", "0.5e+0", "0.5e99999", "1e400", "1e-400", "-1e-400", "1e-320", "0x.8",
            "0x1p-2", "0X1P-2", "0x1p", "0x", "0xg", "0x.", "0x.p1", "0x-1", "0x1p-1074", "0x1p-1075", "0x1p-1076",
            "0x1.8p-1074", "0x0.8p-1022", "0x1p99999", "0x1p-99999", "0x0p99999", "inf", "-inf", "+inf", "INF",
            "infinity", "nan", "NaN", "-nan", "nan(1)", "nan(", "5e-324", "4.9406564584124654e-324",
            "2.2250738585072014e-308", "2.2250738585072011e-308", "2.225073858507201e-308", "2.2250738585072009e-308",
            "-5e-324", "0e-999999", "0.0e400", "1e-99999999999999999999", "0e99999999999999999999", "1e308", "1.8e308",
            "0." + "0" * 330 + "1", "0." + "3" * 60, "0." + "9" * 40, "1" + "0" * 320 + "e-321", "0,8", "50%", "0.5f",
            "0.5.5", "1/2", "00.5", "0.1e1", "10e-1", "10.0000000001e-1"]
SUBNORMAL = [str(2.0 ** -1030), "0x1.0p-1030", "0x1.00000000000001p-1030", "0x1.0000000000000000000001p-1030",
             "0x1.fffffffffffffp-1023", "0x1.ffffffffffffffp-1023", "0x1.fffffffffffff8p-1023", "0x0.fffffffffffffp-1022",
             "0x0.fffffffffffff8p-1022", "0x0.fffffffffffffcp-1022", "0x0.fffffffffffff7p-1022", "0x3p-1075", "0x2p-1075",
             "-0x1p-1074", "-0x1p-1076", "0x1.0p-1022", "0x.00000000000000000000001p0", "0x1.00000000000008p-1",
             "0x1.00000000000018p-1", "0x1.000000000000080000001p-1", "0x1.fffffffffffff8p-1", "0x1.fffffffffffff7p-1",
             "0x123456789abcdef0123456789abcdefp-130", "0x" + "0" * 40 + ".8", "0x." + "0" * 40 + "8p160",
             "0x1p+0", "0x1p-0", "0x1p--1", "0x1p+-1", "0x1e-1", "0x.1e1", "0x8.p-4", "0x8p-4.5", "0x1P-1X", "0x 1p-1"]
WORDS = ["True", "False", "true", "false", "TRUE", "1True", "True1", "True.", "Tru e", "T", "yes", "None", "none",
         "native", "cudaMallocAsync", "hipMallocAsync", "cudamallocasync", "native1", "nat ive", "malloc", "",
         "[", "]", ",", ":", "[]", ">", "\"True\"", "'40'", "{40}", "#", "a", "\u00e4", "\x01", "\x7f", "\x1f", "\u2003"]
RESERVES = ["0.5", "40G", "40g", "40", "0", "0G", "-1", "-1G", "+0.5", "+40G", "G", "g", ".5", "5.", ".", "1e20G", "1e400G",
            "1e400", "1e-400", "1e-320", "5e-324", "2.2250738585072011e-308", "inf", "infG", "nan", "nanG", "12X", "12GB",
            "12GiB", "12GG", "0x8", "0x8G", "1.5G", "1e2G", "1e", "1e+", "1e2", "1e2g", "abc", "++1", "+-1", "1,5", "1_0",
            "9/8", "1.125", "100%", "\u0664", "1 .5", "4 0 G", "0.0", "-0", "00.5", "0e5", "1d2", "1f", "1p2", "True", "e5",
            "1e5e5", "1.2.3", "12345678901234567890", "0." + "0" * 330 + "1", "1" * 320, "1e308", "1e309"]
ENDS = ["", ":", ":,", ",", "[", "]", "=", ":[", ":]", ":::", ":[]", ":[],", ":[]]", ":[[]]", ":[:]", ":[,]"]
SPACES = [" ", "\t", "\n", "\v", "\f", "\r", "  ", " \t\n"]
NO_SPACES = ["\u00a0", "\u0085", "\u2003", "\u3000", "\ufeff", "\x1c", "\x1f", "\x08", "\x7f"]
SEPARATORS = [",", ":", "[", "]", ",,", "::", "=", ";", "", " ", ", ", ",:", "x", "|", "->", "],", "[,"]


class Maker:
    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def good(self, key: str) -> str:
        """A value that PyTorch takes."""
        if key == "large_segment_size_mb":
            return self.pick(["11", "15", "20", "25", "30"])
        if key in MEBIBYTES:
            return self.pick(["25", "30", "40", "64", "512", "17592186044417"])
        if key in REALS:
            return self.pick(["0.5", "0.8", "0.25", "5e-1", ".75"])
        if key in BOOLEANS:
            return self.pick(["True", "False", "True"])
        if key == "pinned_num_register_threads":
            return self.pick(["1", "2", "8", "128"])
        if key == "backend":
            return self.pick(["native", "native", "cudaMallocAsync"])
        if key == "expandable_segments_reserve":
            return self.pick(["0.5", "40G", "1.125"])
        if key == "expandable_segments_reserve_by_class":
            return self.pick(["[a:0.5]", "[a:0.5,b:40G]", "[]"])
        return self.pick(["4", "2", "[64:8,128:2,>:1]", "[256:1,512:2,1024:4,>:8]", "[64:8]", "[1:4,>:2]"])

    def odd(self, key: str) -> str:
        if key == "roundup_power2_divisions" and self.chance(0.7):
            return self.divisions()
        if key == "expandable_segments_reserve_by_class" and self.chance(0.7):
            return self.classes()
        if key.startswith("expandable_segments_reserve"):
            return self.pick(RESERVES)
        if key in REALS:
            return self.pick(ODD_REAL)
        if key in BOOLEANS or key == "backend":
            return self.pick(WORDS)
        return self.pick(WHOLE + HUGE + ODD_WHOLE)

    def value(self, key: str, oddity: float) -> str:
        return self.odd(key) if self.chance(oddity) else self.good(key)

    def list_of(self, size, count, oddity: float) -> str:
        """A list of pairs whose separators and brackets are wrong with a share of `oddity`."""
        def either(right: str) -> str:
            return self.pick(SEPARATORS + ["", right]) if self.chance(oddity) else right

        text = either("[")
        for i in range(self.random.randrange(6)):
            if i > 0:
                text += either(",")
            text += size(i) + either(":") + count()
        if self.chance(oddity):
            text += self.pick([",", ":", ",,", "x"])
        return text + either("]")

    def divisions(self) -> str:
        exponents = sorted(self.random.sample(range(17), 6))
        if self.chance(0.2):
            self.random.shuffle(exponents)

        def size(i: int) -> str:
            if self.chance(0.08):
                return ">"
            if self.chance(0.08):
                return self.pick(WHOLE + HUGE + ODD_WHOLE)
            return str(1 << exponents[i])

        def count() -> str:
            return self.pick(WHOLE + HUGE + ODD_WHOLE) if self.chance(0.08) else str(1 << self.random.randrange(6))

        text = self.list_of(size, count, 0.06)
        return text[:-1] + ",>:" + self.pick(["0", "1", "8"]) + "]" if self.chance(0.3) else text

    def classes(self) -> str:
        def name(_: int) -> str:
            return self.pick(["a", "b", "kv cache", "0", ">", "large_segment_size_mb", "", "backend", "\u00e4"])

        return self.list_of(name, lambda: self.pick(RESERVES), 0.08)

    def settings(self, oddity: float, keys=None) -> str:
        text = ""
        for i in range(1 + self.random.randrange(4)):
            key = self.pick(FOREIGN if self.chance(oddity / 4) else keys or KEYS)
            if i > 0:
                text += self.pick(SEPARATORS) if self.chance(oddity / 2) else ","
            text += key + (self.pick(SEPARATORS) if self.chance(oddity / 2) else ":") + self.value(key, oddity)
        return text + (self.pick([",", ",,", ":", "]", "[", " ,", "x"]) if self.chance(oddity / 2) else "")

    def with_spaces(self, text: str, kinds: list[str]) -> str:
        for _ in range(1 + self.random.randrange(4)):
            at = self.random.randrange(len(text) + 1)
            text = text[:at] + self.pick(kinds) + text[at:]
        return text

    def mutated(self, text: str) -> str:
        for _ in range(1 + self.random.randrange(3)):
            at = self.random.randrange(len(text) + 1)
            letter = self.pick(",:[]>0128.eTx -+G=")
            cut = self.pick([0, 0, 1, 1, self.random.randrange(20)])
            text = text[:at] + (letter if cut < 2 else "") + text[at + cut:]
        return text

    def tokens(self) -> str:
        """A walk over tokens that mostly keeps to key, separator, value, separator."""
        lists = ["[64:8,>:2]", "[a:1]"]
        text = ""
        key = self.pick(KEYS)
        for i in range(self.random.randrange(1, 12)):
            if self.chance(0.1):
                text += self.pick([",", ":", "[", "]", ">", "40", "x"])
            elif i % 2 == 1:
                text += self.pick(",::,[]")
            elif i % 4 == 0:
                key = self.pick(KEYS)
                text += key
            else:
                text += self.good(key) if self.chance(0.8) else self.pick(lists + KEYS)
        return text


def generate(seed: int):
    """Gives rows of one string, or of two that follow each other; each row once."""
    seen = set()
    for row in rows(Maker(seed)):
        row = tuple(text if isinstance(text, bytes) else text.encode() for text in row)
        if row not in seen and all(b"\0" not in text for text in row):
            seen.add(row)
            yield row


def rows(maker: Maker):
    for text in ["", " ", "\n\t", ",", ":", "[", "]", ",,", "[]", ":,", "::", ">", "a", "a:", ":a", ",a:1", "[a:1]"]:
        yield (text,)
    # Each key by itself and with each value.
    for key in KEYS + FOREIGN:
        for end in ["", ":", ":1"] if key in FOREIGN else ENDS:
            yield (key + end,)
        if key in MEBIBYTES or key in ["pinned_num_register_threads", "roundup_power2_divisions"]:
            values = WHOLE + HUGE + ODD_WHOLE + ["inf", "nan", "True", "[40]", "40,", "[64:8]"]
        elif key in REALS:
            values = ODD_REAL + WORDS[:1] + ["0", "1", "-1", "[0.5]", "0.5]", "0 . 5"]
        elif key in BOOLEANS or key == "backend":
            values = WORDS + ["0", "1"]
        elif key.startswith("expandable_segments_reserve"):
            values = RESERVES
        else:
            values = []
        for value in values:
            yield (f"{key}:{value}",)
    for number in SUBNORMAL:
        yield (f"per_process_memory_fraction:{number}",)
    for value in RESERVES:
        yield (f"expandable_segments_reserve_by_class:[a:{value}]",)
    for size, count in itertools.product(["1", "64", ">", "32768", "65536", "0", "63", "-1", "1e3", "x"],
                                         ["0", "1", "8", "3", "-1", "2x", "9223372036854775808", ""]):
        yield (f"roundup_power2_divisions:[{size}:{count}]",)
    # Sums of parts.
    for _ in range(350):
        yield (maker.settings(0),)
    for oddity in [0.1, 0.25, 0.5]:
        for _ in range(220):
            yield (maker.settings(oddity),)
    for _ in range(450):
        yield ("roundup_power2_divisions:" + maker.divisions() + maker.pick(["", "", ",", ",max_split_size_mb:40"]),)
    for _ in range(300):
        yield ("expandable_segments_reserve_by_class:" + maker.classes() +
               maker.pick(["", "", ",", ",per_process_memory_fraction:0.5"]),)
    for kinds in [SPACES, SPACES, NO_SPACES]:
        for _ in range(110):
            yield (maker.with_spaces(maker.settings(0), kinds),)
    # The same key twice, and both names of one.
    for _ in range(150):
        keys = [maker.pick(KEYS)] if maker.chance(0.7) else maker.pick(
            [["release_lock_on_cudamalloc", "release_lock_on_hipmalloc"],
             ["pinned_use_cuda_host_register", "pinned_use_hip_host_register"],
             ["large_segment_size_mb", "max_split_size_mb", "max_non_split_rounding_mb"],
             ["pinned_max_round_threshold_mb", "pinned_max_cached_size_mb"]])
        yield (maker.settings(0.1, keys),)
    for _ in range(250):
        yield (maker.settings(0.1, ["backend", "backend", "expandable_segments_reserve_by_class", maker.pick(KEYS)]),)
    for _ in range(350):
        yield (maker.tokens(),)
    for _ in range(500):
        yield (maker.mutated(maker.settings(0)),)
    # Bytes of any kind, alone and inside words.
    for _ in range(60):
        yield (bytes(maker.random.randrange(1, 256) for _ in range(maker.random.randrange(1, 20))),)
    for _ in range(120):
        text = maker.settings(0).encode()
        at = maker.random.randrange(len(text) + 1)
        yield (text[:at] + bytes([maker.random.randrange(1, 256)]) + text[at + maker.random.randrange(2):],)
    # One string after another.
    sticking = [key for key in KEYS if key != "backend"]
    for _ in range(350):
        yield (maker.settings(0, sticking), maker.settings(0.1, maker.pick([sticking, MEBIBYTES[:3]])))
