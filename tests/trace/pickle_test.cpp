#include "trace/pickle.hpp"

#include <fmt/format.h>

#include <random>

#include "trace/fixture.hpp"
#include "trace/opcodes.hpp"

using namespace terrazzo::trace;
using namespace trace_test;
using std::string_literals::operator""s;

namespace {

// Notes what it is told. A dictionary's label is 100 + the number of its field "x"; a list's is how many items it got.
struct note_taker final : pickle_client {
  static constexpr std::string_view all[] = {"x", "keep", "word"};
  std::span<const std::string_view> words() const override { return all; }
  std::uint8_t kept_text() const override { return 1; }
  void keep_text(std::string text) override { kept.push_back(std::move(text)); }
  std::uint64_t close_dictionary(const pickle_fields& fields, std::uint64_t* list) override {
    notes += fmt::format("close{}@{} ", list != nullptr ? " in list" : "", fields.has(0) ? fields.at(0).integer() : -1);
    return 100 + (fields.has(0) ? fields.at(0).bits : 0);
  }
  std::uint64_t append(std::uint64_t list, const pickle_value& item, std::uint64_t) override {
    items += item.count;
    return list + item.count;
  }

  std::string notes;
  std::vector<std::string> kept;
  std::uint64_t items = 0;
};

struct outcome {
  pickle_value root;
  note_taker client;
  std::string error;
};

// Reads what stands between the protocol and the stop.
outcome run(const std::string& opcodes) {
  outcome made;
  const std::string bytes = "\x80\x04" + opcodes + ".";
  try {
    input from = input::from_memory("run.pickle", as_bytes(bytes), 512);
    made.root = pickle_reader(from, made.client).read();
  } catch (const trace_error& error) {
    made.error = error.what();
  }
  return made;
}

std::string error_of_opcodes(const std::string& opcodes) { return run(opcodes).error; }

}  // namespace

TEST_CASE("pickle: every scalar opcode pushes its value") {
  const struct {
    std::string name;
    std::string opcodes;
    pickle_kind kind;
    std::int64_t number;
  } all[] = {
      {"NONE", "N", pickle_kind::none, 0},
      {"NEWTRUE", "\x88", pickle_kind::boolean, 1},
      {"NEWFALSE", "\x89", pickle_kind::boolean, 0},
      {"BININT1", "K\xff", pickle_kind::integer, 255},
      {"BININT2", "M\x01\xff", pickle_kind::integer, 0xff01},
      {"BININT", "J\xfe\xff\xff\xff", pickle_kind::integer, -2},
      {"BININT of a positive", "J\x04\x03\x02\x01", pickle_kind::integer, 0x01020304},
      {"LONG1 of no byte", "\x8a\0"s, pickle_kind::integer, 0},
      {"LONG1 of one byte", "\x8a\1\xff", pickle_kind::integer, -1},
      {"LONG1 of six bytes", "\x8a\6\1\0\0\0\0\x70"s, pickle_kind::integer, 0x700000000001},
      {"LONG1 of eight bytes", "\x8a\x08\0\0\0\0\0\0\0\x80"s, pickle_kind::integer, INT64_MIN},
      {"LONG1 of nine bytes that fit", "\x8a\x09\1\0\0\0\0\0\0\0\0"s, pickle_kind::integer, 1},
      {"LONG1 of nine bytes that do not", "\x8a\x09\0\0\0\0\0\0\0\x80\0"s, pickle_kind::wide_integer, 0},
      {"LONG4", "\x8b\2\0\0\0\1\2"s, pickle_kind::integer, 0x0201},
      {"BINFLOAT", "G12345678", pickle_kind::real, 0},
      {"SHORT_BINUNICODE", "\x8c\4word", pickle_kind::text, 2},
      {"SHORT_BINUNICODE of no word", "\x8c\4wort", pickle_kind::text, unknown_word},
      {"BINUNICODE", "X\4\0\0\0word"s, pickle_kind::text, 2},
      {"BINUNICODE8", "\x8d\4\0\0\0\0\0\0\0word"s, pickle_kind::text, 2},
      {"BINUNICODE that is long", "X\0\4\0\0"s + std::string(1024, 'x'), pickle_kind::text, unknown_word},
      {"BINSTRING", "T\4\0\0\0word"s, pickle_kind::text, 2},
      {"SHORT_BINSTRING", "U\4word", pickle_kind::text, 2},
      {"SHORT_BINBYTES", "C\3abc", pickle_kind::bytes, 0},
      {"BINBYTES", "B\3\0\0\0abc"s, pickle_kind::bytes, 0},
      {"BINBYTES8", "\x8e\3\0\0\0\0\0\0\0abc"s, pickle_kind::bytes, 0},
      {"BYTEARRAY8", "\x96\3\0\0\0\0\0\0\0abc"s, pickle_kind::bytes, 0},
      {"FRAME", "\x95\1\2\3\4\5\6\7\x08N", pickle_kind::none, 0},
  };
  for (const auto& each : all) {
    CAPTURE(each.name);
    const outcome made = run(each.opcodes);
    CHECK(made.error == "");
    CHECK(made.root.kind == each.kind);
    CHECK(made.root.integer() == each.number);
  }
}

TEST_CASE("pickle: every container and stack opcode does what Python does") {
  const struct {
    std::string name;
    std::string opcodes;
    pickle_kind kind;
    std::uint64_t label;
    std::uint64_t items;
    const char* notes;
  } all[] = {
      {"EMPTY_DICT", "}", pickle_kind::dictionary, 0, 0, ""},
      {"EMPTY_LIST", "]", pickle_kind::list, 0, 0, ""},
      {"EMPTY_TUPLE", ")", pickle_kind::tuple, 0, 0, ""},
      {"EMPTY_SET", "\x8f", pickle_kind::set, 0, 0, ""},
      {"TUPLE", "(KaKb(Kctt", pickle_kind::tuple, 0, 0, ""},
      {"TUPLE1", "Ka\x85", pickle_kind::tuple, 0, 0, ""},
      {"TUPLE2", "KaKb\x86", pickle_kind::tuple, 0, 0, ""},
      {"TUPLE3", "KaKbKc\x87", pickle_kind::tuple, 0, 0, ""},
      {"ADDITEMS", "\x8f(KaKb\x90", pickle_kind::set, 0, 0, ""},
      {"FROZENSET", "(KaKb\x91", pickle_kind::set, 0, 0, ""},
      {"APPEND", "]KaaKba", pickle_kind::list, 2, 2, ""},
      {"APPENDS", "](KaKbe(Kce", pickle_kind::list, 3, 3, ""},
      {"APPENDS of nothing", "](e", pickle_kind::list, 0, 0, ""},
      {"SETITEM", "}\x8c\1xK\5s", pickle_kind::dictionary, 105, 0, "close@5 "},
      {"SETITEM twice", "}\x8c\1xK\5s\x8c\1xK\6s", pickle_kind::dictionary, 106, 0, "close@6 "},
      {"SETITEMS", "}(\x8c\1xK\5K\1K\2u", pickle_kind::dictionary, 105, 0, "close@5 "},
      {"SETITEMS of nothing", "}(u", pickle_kind::dictionary, 0, 0, ""},
      {"SETITEMS twice", "}(\x8c\1xK\5u(\x8c\1zK\6u", pickle_kind::dictionary, 105, 0, "close@5 "},
      {"keys of other kinds", "}(K\1K\2NNKaKb\x86Kc\x88Kdu", pickle_kind::dictionary, 100, 0, "close@-1 "},
      {"POP", "NKa0", pickle_kind::none, 0, 0, ""},
      {"POP of a mark", "N(0", pickle_kind::none, 0, 0, ""},
      {"POP_MARK", "N(KaKb1", pickle_kind::none, 0, 0, ""},
      {"DUP", "Ka2\x86", pickle_kind::tuple, 0, 0, ""},
      {"DUP of a container is a reference", "]2\x86", pickle_kind::tuple, 0, 0, ""},
      {"MEMOIZE and BINGET", "]\x8c\4word\x94\x61h\0a"s, pickle_kind::list, 2, 2, ""},
      {"BINPUT and LONG_BINGET", "\x8c\4wordq\0j\0\0\0\0\x86"s, pickle_kind::tuple, 0, 0, ""},
      {"LONG_BINPUT", "\x8c\4wordr\0\0\0\0h\0\x86"s, pickle_kind::tuple, 0, 0, ""},
      {"a list within itself", "]q\0h\0a"s, pickle_kind::list, 1, 1, ""},
      {"a dictionary within itself", "}q\0\x8c\1xh\0s"s, pickle_kind::dictionary, 100, 0, "close@0 "},
      {"a tuple within itself", "]q\0(h\0tq\1a"s, pickle_kind::list, 1, 1, ""},
      {"one dictionary in another", "}(\x8c\1a}(\x8c\1xK\7u\x8c\1xK\5u", pickle_kind::dictionary, 105, 0,
       "close@7 close@5 "},
      {"one in another by single items", "}\x8c\1xK\5s\x8c\1a}\x8c\1b}\x8c\1xK\7sss", pickle_kind::dictionary, 105, 0,
       "close@7 close@-1 close@5 "},
      {"dictionaries in a list", "](}(\x8c\1xK\1u}(\x8c\1xK\2ue", pickle_kind::list, 2, 2,
       "close in list@1 close in list@2 "},
      {"dictionaries one by one into a list", "]}\x8c\1xK\1sa}\x8c\1xK\2sa", pickle_kind::list, 2, 2,
       "close in list@1 close in list@2 "},
      {"dictionaries with others between", "](}(\x8c\1xK\1uN}(\x8c\1xK\2u\x8c\1x}(\x8c\1xK\3ue", pickle_kind::list, 5,
       5, "close in list@1 close in list@2 close in list@3 "},
      {"a dictionary in a tuple", "(}(\x8c\1xK\1ut", pickle_kind::tuple, 0, 0, ""},
  };
  for (const auto& each : all) {
    CAPTURE(each.name);
    const outcome made = run(each.opcodes);
    CHECK(made.error == "");
    CHECK(made.root.kind == each.kind);
    CHECK(made.root.bits == each.label);
    CHECK(made.client.items == each.items);
    CHECK(made.client.notes == each.notes);
  }
}

TEST_CASE("pickle: every opcode that names a class or a text of old is refused by its name") {
  int refused = 0;
  for (const opcodes::refused& each : opcodes::all_refused) {
    CAPTURE(each.name);
    const std::string error = error_of_opcodes("N"s + static_cast<char>(each.opcode));
    CHECK(contains(error, "run.pickle: byte 3: the opcode "s + each.name + " "));
    CHECK(contains(error, "refused"));
    ++refused;
  }
  CHECK(refused == 24);
  CHECK(contains(error_of_opcodes("cos\nsystem\n"), "(os.system)"));
  CHECK(contains(error_of_opcodes("c\x1b[31m\nx\n"), "(?[31m.x)"));
  CHECK(contains(error_of_opcodes("c" + std::string(5000, 'x')), "refused: plain data only ("));
}

TEST_CASE("pickle: every byte is an opcode that is read or refused or none at all") {
  int unknown = 0;
  for (int opcode = 0; opcode < 256; ++opcode) {
    CAPTURE(opcode);
    const std::string error = error_of_opcodes("N"s + static_cast<char>(opcode) + std::string(40, '\0'));
    CHECK((error != "") == (opcode != '.'));
    if (contains(error, "byte 3: no opcode of a pickle has the number")) ++unknown;
  }
  CHECK(unknown == 256 - 68);  // Python 3.13 knows 68
}

TEST_CASE("pickle: a value that is not there or of another kind is said so with its byte") {
  const struct {
    std::string opcodes;
    std::string error;
  } all[] = {
      {"", "byte 2: the pickle ends with 0 values and 0 marks left"},
      {"NN", "byte 4: the pickle ends with 2 values"},
      {"N(", "1 marks left"},
      {"a", "byte 2: an opcode takes values that are not there"},
      {"]a", "byte 3: an opcode takes values that are not there"},
      {"]N(a", "takes values that are not there"},
      {"NNa", "APPEND puts an item into None"},
      {"Nua", "byte 3: an opcode takes a mark that is not there"},
      {"(u", "items are put into nothing, where a dictionary should be"},
      {"N(u", "items are put into None, where a dictionary should be"},
      {"}(e", "items are put into a dictionary, where a list should be"},
      {"](\x90", "items are put into a list, where a set should be"},
      {"}((u", "items are put into nothing"},
      {"}(Nu", "SETITEMS finds a key without a value"},
      {"]NNs", "SETITEM puts an item into a list"},
      {"N\x86", "takes values that are not there"},
      {"t", "takes a mark that is not there"},
      {"1", "takes a mark that is not there"},
      {"0", "takes a mark that is not there"},
      {"2", "takes values that are not there"},
      {"\x94", "takes values that are not there"},
      {"Nq\1", "put into the memo as number 1, when 0 is the next"},
      {"Nr\xff\xff\xff\xff", "put into the memo as number 4294967295"},
      {"h\0"s, "value 0 of the memo is fetched, which has 0"},
      {"j\xff\xff\xff\xff", "value 4294967295 of the memo is fetched"},
      {"\x80\4N", "the protocol is named a second time"},
      {"]q\0h\0(Nea"s, "items are put into a reference to an earlier value"},
      {"}q\0h\0(NNu0"s, "items are put into a reference to an earlier value"},
      {"](}(\x8c\1xK\1u]0(\x8c\1xK\1u", "a dictionary gets more items after its end"},
      {"\x8b\0\0\0\x80"s, "LONG4 has a negative length"},
      {"T\0\0\0\x80"s, "BINSTRING has a negative length"},
  };
  for (const auto& each : all) {
    CAPTURE(each.error);
    const std::string error = error_of_opcodes(each.opcodes);
    CAPTURE(error);
    CHECK(contains(error, each.error));
  }
}

TEST_CASE("pickle: protocols 2 to 5 are read and others refused") {
  for (int protocol = 0; protocol < 256; ++protocol) {
    CAPTURE(protocol);
    const std::string bytes = "\x80"s + static_cast<char>(protocol) + "N.";
    const std::string error = error_of(bytes);
    if (protocol >= 2 && protocol <= 5) CHECK(contains(error, "the pickle holds None, not a memory snapshot"));
    else CHECK(contains(error, fmt::format("a pickle of protocol {}", protocol)));
  }
}

TEST_CASE("pickle: lengths that are not there are errors and take no memory") {
  const std::string huge = "\xff\xff\xff\xff\xff\xff\xff\x7f";
  for (const std::string& opcode :
       {"\x8d"s, "\x8e"s, "\x96"s, "X"s, "B"s, "\x8b"s, "T"s, "\x8c"s, "C"s, "U"s, "\x8a"s}) {
    CAPTURE(opcode);
    CHECK(error_of_opcodes(opcode + huge + "abc") != "");
  }
  CHECK(contains(error_of_opcodes("\x8d" + huge),
                 "the file ends within a text of 9223372036854775807 bytes: it is cut off"));
  // Where the text is kept, likewise.
  CHECK(contains(error_of_opcodes("}\x8c\4keepX\xff\xff\0\0abc"s), "it is cut off"));
}

TEST_CASE("pickle: a text that is asked for is kept whole") {
  outcome made =
      run("}(\x8c\4keep\x8c\3abc\x8c\4keepX\0\1\0\0"s + std::string(256, 'y') + "\x8c\4keepK\1\x8c\5other\x8c\3defu");
  CHECK(made.error == "");
  CHECK(made.client.kept == std::vector<std::string>{"abc", std::string(256, 'y')});
  made = run("}\x8c\4keepX\1\0\1\0"s + std::string(65537, 'y') + "s");
  CHECK(made.error == "");
  CHECK(made.client.kept.empty());
}

TEST_CASE("pickle: nesting and waiting values have limits") {
  CHECK(contains(error_of_opcodes(std::string(501, '(')), "byte 502: values are nested more than 500 deep"));
  CHECK(contains(error_of_opcodes(std::string(65537, 'N')), "more than 65536 values wait"));
  CHECK(contains(error_of_opcodes(std::string(65537, ']')), "more than 65536 values wait"));
  std::string nested;
  for (int i = 0; i < 200; ++i) nested += "}(K\1K\2u(\x8c\1a";
  CHECK(contains(error_of_opcodes(nested), "dictionaries are nested more than 100 deep"));
  std::string deep = "](";
  for (int i = 0; i < 150; ++i) deep += "](";
  for (int i = 0; i < 150; ++i) deep += "e";
  CHECK(error_of_opcodes(deep + "e") == "");
}

TEST_CASE("pickle: lists of any length are read whoever wrote them") {
  const int count = 70000;
  for (const std::string& item : {"}"s, "}(\x8c\1xK\1u"s, "h\0"s}) {
    CAPTURE(item);
    std::string all = "]q\0("s;
    for (int i = 0; i < count; ++i) all += item;
    const outcome made = run(all + "e");
    CHECK(made.error == "");
    CHECK(made.client.items == count);
  }
  // Neighbours that stay open: closed when they become too many, in their order.
  std::string all = "](";
  std::string notes;
  for (int i = 0; i < 250; ++i) {
    all += "}(\x8c\1xK"s + static_cast<char>(i) + "u\x8c\1x";
    notes += fmt::format("close in list@{} ", i);
  }
  const outcome made = run(all + "e");
  CHECK(made.error == "");
  CHECK(made.client.notes == notes);
  // A run of references as keys and values.
  CHECK(run("]q\0}(\x8c\1xh\0h\0h\0h\0h\0h\0K\1u\x86"s).error == "");
}

TEST_CASE("pickle: cut off anywhere or changed anywhere is an error or a sound program") {
  const value whole =
      snapshot({list({event("alloc", 0x700000000000, 5000), event("free_requested", 0x700000000000, 5000),
                      event("free_completed", 0x700000000000, 5000)}),
                list({event("alloc", 0x700000000000, 600, 4432)})},
               {segment(0, 0x700000000000, 0, {block(0x700000000000, 1048576, 1000, "inactive")})});
  for (const pickler as : all_picklers) {
    const std::string bytes = pickled(whole, as);
    CHECK(error_of(bytes) == "");
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      CAPTURE(length);
      CHECK(error_of(std::string_view(bytes).substr(0, length)) != "");
    }
    CHECK(
        contains(error_of(bytes + "x"), fmt::format("byte {}: more bytes follow the end of the pickle", bytes.size())));
    std::mt19937 random(7);
    for (int i = 0; i < 3000; ++i) {
      std::string changed = bytes;
      for (unsigned k = random() % 3 + 1; k != 0; --k) changed[random() % changed.size()] = static_cast<char>(random());
      static_cast<void>(error_of(changed));  // which checks the programs, if there are any
    }
  }
}
