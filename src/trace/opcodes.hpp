// The opcodes of pickles. Source: Lib/pickle.py of Python 3.13.
#pragma once

namespace terrazzo::trace::opcodes {

// Those that are read.
inline constexpr int mark = '(', stop = '.', pop = '0', pop_mark = '1', dup = '2', none = 'N', newtrue = 0x88,
                     newfalse = 0x89, binint = 'J', binint1 = 'K', binint2 = 'M', long1 = 0x8a, long4 = 0x8b,
                     binfloat = 'G', binstring = 'T', short_binstring = 'U', binunicode = 'X', short_binunicode = 0x8c,
                     binunicode8 = 0x8d, binbytes = 'B', short_binbytes = 'C', binbytes8 = 0x8e, bytearray8 = 0x96,
                     empty_list = ']', append = 'a', appends = 'e', empty_tuple = ')', tuple = 't', tuple1 = 0x85,
                     tuple2 = 0x86, tuple3 = 0x87, empty_dict = '}', setitem = 's', setitems = 'u', empty_set = 0x8f,
                     additems = 0x90, frozenset = 0x91, memoize = 0x94, binput = 'q', long_binput = 'r', binget = 'h',
                     long_binget = 'j', proto = 0x80, frame = 0x95;

struct refused {
  int opcode;
  const char* name;
  const char* reason;
  bool has_name;  // "module\nname\n" follows
};

inline constexpr const char* names_a_class =
    "names a class or a function, which reading would run; refused: plain data only";
inline constexpr const char* is_old = "is of protocol 0 or 1; refused: protocols 2 to 5 only";
inline constexpr const char* is_persistent = "names something outside the pickle; refused: plain data only";
inline constexpr const char* is_out_of_band = "takes a buffer from outside the pickle; refused: plain data only";

inline constexpr refused all_refused[] = {
    {'c', "GLOBAL", names_a_class, true},
    {0x93, "STACK_GLOBAL", names_a_class, false},
    {'R', "REDUCE", names_a_class, false},
    {'b', "BUILD", names_a_class, false},
    {0x81, "NEWOBJ", names_a_class, false},
    {0x92, "NEWOBJ_EX", names_a_class, false},
    {'i', "INST", names_a_class, true},
    {'o', "OBJ", names_a_class, false},
    {0x82, "EXT1", names_a_class, false},
    {0x83, "EXT2", names_a_class, false},
    {0x84, "EXT4", names_a_class, false},
    {'P', "PERSID", is_persistent, false},
    {'Q', "BINPERSID", is_persistent, false},
    {0x97, "NEXT_BUFFER", is_out_of_band, false},
    {0x98, "READONLY_BUFFER", is_out_of_band, false},
    {'I', "INT", is_old, false},
    {'L', "LONG", is_old, false},
    {'F', "FLOAT", is_old, false},
    {'S', "STRING", is_old, false},
    {'V', "UNICODE", is_old, false},
    {'g', "GET", is_old, false},
    {'p', "PUT", is_old, false},
    {'d', "DICT", is_old, false},
    {'l', "LIST", is_old, false},
};

[[nodiscard]] constexpr const refused* find_refused(int opcode) noexcept {
  for (const refused& each : all_refused)
    if (each.opcode == opcode) return &each;
  return nullptr;
}

}  // namespace terrazzo::trace::opcodes
