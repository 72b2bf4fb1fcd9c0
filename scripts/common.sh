# Sourced by the other scripts, from the repository's root: how they speak, log, and find CUDA's headers.
#
# Every step says what it does in one line. Its output goes to a log under build/<preset>/log; its newest line is shown
# every ten seconds, and its end when the step fails.
# shellcheck shell=bash

say() { printf -- '-- %s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# help_if_asked "$@": prints the script's header comment and ends it, if -h or --help is among its arguments.
help_if_asked() {
  local argument
  for argument in "$@"; do
    if [[ $argument == -h || $argument == --help ]]; then
      sed -e 1d -e '/^#/!Q' -e 's/^# \{0,1\}//' "scripts/$(basename "$0")"
      exit 0
    fi
  done
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

# Shows a line every ten seconds, whether the command prints anything or not.
# shellcheck disable=SC2317  # called through run_step's pipe
show_progress() {
  local started=$SECONDS next=$((SECONDS + 10)) line="no output yet" newest
  while true; do
    if IFS= read -r -t $((next > SECONDS ? next - SECONDS : 1)) newest; then
      line=$newest
    elif (($? <= 128)); then
      return 0  # the command has ended; above 128 it was only silent
    fi
    if ((SECONDS >= next)); then
      printf '     %d s: %s\n' $((SECONDS - started)) "${line:0:110}"
      next=$((SECONDS + 10))
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

# configure <preset> [cmake options...]
configure() {
  local preset=$1
  shift
  say "configuring build/$preset"
  run_step "build/$preset/log/configure.txt" \
    cmake --preset "$preset" -DCUDA_HEADERS_DIR="$(find_cuda_headers)" "$@"
}

# configure_and_build <preset> [cmake options...]
configure_and_build() {
  configure "$@"
  say "building build/$1 with $(nproc) processes"
  run_step "build/$1/log/build.txt" cmake --build --preset "$1" --parallel "$(nproc)"
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
