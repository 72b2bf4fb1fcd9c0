# Sourced by the other scripts, from the repository's root: how they speak, log, and find CUDA's headers.
#
# Every step says what it does in one line. Its output goes to a log under build/<preset>/log; a line of it is shown every
# ten seconds, and its end when the step fails.
# shellcheck shell=bash

say() { printf -- '-- %s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# run_step <log file> <command...>: ends the script when the command fails.
run_step() {
  local log=$1 started=$SECONDS
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" </dev/null 2>&1 | tee "$log" | show_progress; then
    printf '%s\n' "---- the last lines of $log:" >&2
    tail -n 60 "$log" >&2
    die "failed: $* (full log: $log)"
  fi
  if ((SECONDS - started >= 10)); then say "   took $((SECONDS - started)) s"; fi
}

# shellcheck disable=SC2317  # called through run_step's pipe
show_progress() {
  local last=$SECONDS line
  while IFS= read -r line; do
    if ((SECONDS - last >= 10)); then
      printf '     %s\n' "${line:0:110}"
      last=$SECONDS
    fi
  done
}

# Prints the folder of usable CUDA headers, or nothing: an installed toolkit's, unless TERRAZZO_IGNORE_TOOLKIT is set to
# something, else what scripts/setup has unpacked.
find_cuda_headers() {
  local root folders=()
  if [[ -z ${TERRAZZO_IGNORE_TOOLKIT:-} ]]; then
    for root in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda /opt/cuda; do
      if [[ -n $root ]]; then folders+=("$root/include"); fi
    done
  fi
  for root in "${folders[@]}" "$PWD/build/cuda-headers/include"; do
    if are_usable_headers "$root"; then
      printf '%s\n' "$root"
      return
    fi
  done
}

# CUDA 12 or newer, with cuBLAS.
are_usable_headers() {
  local version
  [[ -r $1/cuda.h && -r $1/cublas_v2.h && -r $1/cublasLt.h ]] || return 1
  version=$(sed -n 's/^#define CUDA_VERSION \([0-9]*\).*/\1/p' "$1/cuda.h")
  ((${version:-0} >= 12000))
}

# configure_and_build <preset> [cmake options...]
configure_and_build() {
  local preset=$1
  shift
  say "configuring build/$preset"
  run_step "build/$preset/log/configure.txt" \
    cmake --preset "$preset" -DCUDA_HEADERS_DIR="$(find_cuda_headers)" "$@"
  say "building build/$preset with $(nproc) processes"
  run_step "build/$preset/log/build.txt" cmake --build --preset "$preset" --parallel "$(nproc)"
}

# run_tests <preset> [rooms...]: runs all tests, and checks that every room's tests did run, but those of the rooms named.
run_tests() {
  local preset=$1
  shift
  local results=$PWD/build/$preset/log/tests.xml
  say "testing build/$preset"
  rm -f "$results"
  run_step "build/$preset/log/tests.txt" ctest --preset "$preset" --parallel "$(nproc)" --output-junit "$results" \
    --test-output-size-passed 65536 --test-output-truncation head
  scripts/check-tests "build/$preset" "$results" "$@"
}
