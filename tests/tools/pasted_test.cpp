// Lines that people paste: the variable's name is taken off, and what the shell or the file puts around it.
#include "tools/pasted.hpp"

#include <doctest/doctest.h>

using terrazzo::tools::pasted;
using terrazzo::tools::take_apart;

TEST_CASE("pasted: the variable and its value are taken out of a line") {
  struct {
    const char* line;
    const char* variable;
    const char* text;
  } const rows[] = {
      {"max_split_size_mb:128", "", "max_split_size_mb:128"},
      {"", "", ""},
      {" a b ", "", " a b "},
      {"PYTORCH_CUDA_ALLOC_CONF=max_split_size_mb:128", "PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:128"},
      {"export PYTORCH_CUDA_ALLOC_CONF=\"a:1,b:2\"", "PYTORCH_CUDA_ALLOC_CONF", "a:1,b:2"},
      {"export PYTORCH_CUDA_ALLOC_CONF='a:1' # comment", "PYTORCH_CUDA_ALLOC_CONF", "a:1"},
      {"export 'PYTORCH_CUDA_ALLOC_CONF=a:1'", "PYTORCH_CUDA_ALLOC_CONF", "a:1"},
      {"set PYTORCH_CUDA_ALLOC_CONF=a:1,b:2", "PYTORCH_CUDA_ALLOC_CONF", "a:1,b:2"},
      {"set \"PYTORCH_ALLOC_CONF=a:1\"", "PYTORCH_ALLOC_CONF", "a:1"},
      {"$env:PYTORCH_HIP_ALLOC_CONF = \"a:1\"", "PYTORCH_HIP_ALLOC_CONF", "a:1"},
      {"ENV TERRAZZO_ALLOC_CONF=limit_mb:64", "TERRAZZO_ALLOC_CONF", "limit_mb:64"},
      {"os.environ[\"PYTORCH_CUDA_ALLOC_CONF\"] = \"a:1\"", "PYTORCH_CUDA_ALLOC_CONF", "a:1"},
      {"os.environ['PYTORCH_CUDA_ALLOC_CONF']='a:1'", "PYTORCH_CUDA_ALLOC_CONF", "a:1"},
      {"os.environ.setdefault(\"PYTORCH_CUDA_ALLOC_CONF\", \"a:1\")", "PYTORCH_CUDA_ALLOC_CONF", "a:1"},
      {"  PYTORCH_CUDA_ALLOC_CONF: \"a:1\"", "PYTORCH_CUDA_ALLOC_CONF", "a:1"},
      {"- PYTORCH_CUDA_ALLOC_CONF=", "PYTORCH_CUDA_ALLOC_CONF", ""},
      {"PYTORCH_CUDA_ALLOC_CONF", "", "PYTORCH_CUDA_ALLOC_CONF"},
      {"PYTORCH_CUDA_ALLOC_CONF=a:256'", "PYTORCH_CUDA_ALLOC_CONF", "a:256'"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.line));
    const pasted made = take_apart(row.line);
    CHECK(made.variable == row.variable);
    CHECK(made.text == row.text);
  }
}
