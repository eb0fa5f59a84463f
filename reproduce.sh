#!/usr/bin/env bash
# Makes the papers' tables, or runs the tests, in an environment of its own: see usage below.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
venv="$root/.venv"
log="$venv/install.log"
stamp="$venv/.complete"

usage() {
  cat <<'END'
Usage: ./reproduce.sh [COMMAND]      (-h, --help, help: this text)

  (nothing)              make the table multvae-synthetic: small, fit for a CPU, no download
  list                   list the tables: multvae-synthetic, multvae-ml1m, multvae-citeulike,
      lightgcn-gowalla, lightgcn-yelp2018, lightgcn-amazon-book, spectral-gowalla,
      spectral-yelp2018, neumf-ml1m, neumf-citeulike, parts-multvae-ml1m, parts-multvae-citeulike,
      parts-lightgcn-gowalla, parts-neumf-ml1m, parts-spectral-multvae-ml1m, moves-multvae-ml1m,
      parts-spectral-multvae-citeulike, parts-spectral-gowalla, parts-spectral-yelp2018,
      rows-multvae-ml1m, rows-multvae-citeulike, values-multvae-ml1m, values-multvae-citeulike,
      splits-multvae-ml1m, splits-multvae-citeulike, users-gowalla, users-yelp2018,
      amgp-criteo-like, amgp-ml100k, amgp-criteo
  table NAME [flags]     make one table; finished runs are kept, interrupted ones go on
  all [flags]            make what is missing of every table that has the budget, and the report
  report [--out=FOLDER]  all tables on one page, README.md, and in one file, report.html
  test [--all] [flags]   ruff, mypy, pytest (its flags); --all: also the tests that take hours

Flags of table, and of all but for protocol, quirks, algorithms and densities:
  --data_dir=FOLDER      data sets that you have, a folder each (ml-1m/); else downloaded
  --out=FOLDER           where the tables' folders are (runs)
  --budget=short|full    short (the default), long (lightgcn-*, amgp-criteo-like), or as published
  --protocol=clean|published
                         ours (default), or the published code's: multvae-*, lightgcn-*, neumf-*
  --quirks=A,B           under published, the quirks to keep (default: all; --quirks= for none):
                         bernoulli, masked_bias, warm_moments, shrinking_budget, test_selection,
                         fixed_negatives, file_order, last_batch
  --algorithms=A,B, --densities=D,E  the rows to make now (all): dense, dsl, ...; others stay
  --seeds=N              run all with the seeds 0 to N - 1 (the table's own, 1, 3 or 5)
  --costs                multvae-*, lightgcn-*, neumf-*: also time, memory, FLOPs (all: always)
  --jobs=N               runs at once (1; all: 8 on each GPU, else 2); several GPUs share them
  --device=gpu|cpu       what to run on; all: on a CPU only the tables that suit one
  --known=FOLDER         tables made elsewhere, as in results/: their runs are taken, not made again
  --dry_run, --finished  list the runs missing, with about their time; only write what is finished

The first call, and one after constraints.txt, setup.cfg, pyproject.toml or Python changed, installs
into .venv beside the script (minutes, 2.5 GB; more with a GPU). Paths are relative to your folder.

Environment:
  PYTHON                 the Python 3.11, 3.12 or 3.13 to use, a name or a path
  TFDSL_DATA             where downloaded data sets are kept (~/.cache/tfdsl unless set)
  TF_CPP_MIN_LOG_LEVEL   TensorFlow's log level (2 unless set)
END
}

say() { printf 'reproduce.sh: %s\n' "$*" >&2; }

die() {
  say "$@"
  exit 1
}

usable() {
  "$1" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
    >/dev/null 2>&1
}

find_python() {
  local candidate
  if [[ -n ${PYTHON:-} ]]; then
    usable "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 with its venv" \
      "module. Set PYTHON to one that is, or unset it to let this script look for one."
    printf '%s\n' "$PYTHON"
    return
  fi
  for candidate in python3 python3.13 python3.12 python3.11; do
    if usable "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "found no Python 3.11, 3.12 or 3.13 (tried python3, python3.13, python3.12, python3.11)." \
    "Install one with its venv module (Debian, Ubuntu: apt install python3.12-venv)," \
    "or name one: PYTHON=/path/to/python3.12 ./reproduce.sh"
}

# What an installation depends on, as one hash; where it lies counts, as .venv cannot be moved.
fingerprint() {
  "$1" - "$root" <<'END' 2>/dev/null
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
parts = [sys.version.encode(), bytes(root)]
parts += [(root / f).read_bytes() for f in ("constraints.txt", "setup.cfg", "pyproject.toml")]
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
END
}

has_gpu() {
  command -v nvidia-smi >/dev/null && [[ $(timeout 20 nvidia-smi -L 2>/dev/null) == GPU* ]]
}

# True where .venv is whole and current. One made for a GPU also serves without it.
installed() {
  local done_for hash
  [[ -f $stamp ]] || return 1
  done_for="$(<"$stamp")"
  hash="$(fingerprint "${PYTHON:-$venv/bin/python}")" || return 1
  [[ $done_for == "$hash dev,gpu" ]] || { [[ $done_for == "$hash dev" ]] && ! has_gpu; }
}

make_venv() {
  # Without ensurepip (Debian's python3 alone), the pip beside this Python fills the new one.
  "$1" -m venv --clear "$venv" ||
    { "$1" -m venv --clear --without-pip "$venv" &&
      "$1" -m pip --python "$venv/bin/python" install pip; }
}

pip_install() {
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input \
    -c "$root/constraints.txt" "$@"
}

install() {
  local python extras=dev output hash
  python="$(find_python)" || exit 1
  if has_gpu; then extras=dev,gpu; fi
  say "installing [$extras] into $venv with $("$python" --version);" \
    "some minutes, once. Log: $log"

  rm -f "$stamp"
  output="$(make_venv "$python" 2>&1)" || die "could not make $venv with $python:"$'\n'"$output"
  # The build tool is pinned too, so it is installed first and used as it is.
  if ! { pip_install setuptools &&
    (cd "$root" && pip_install --no-build-isolation -e ".[$extras]"); } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "the installation failed; the lines above end its log, $log. Most often the network or" \
      "the disk is the cause: repair that and call again, which starts afresh."
  fi
  hash="$(fingerprint "$venv/bin/python")"
  printf '%s %s\n' "$hash" "$extras" >"$stamp"
  say "installed."
}

# Only one call installs at a time. pip inherits the lock, so that one which outlives a killed call
# is waited for.
lock() {
  exec 9<"$root/setup.cfg"
  command -v flock >/dev/null || return 0
  flock --nonblock 9 || {
    say "waiting for another installation into $venv"
    flock 9
  }
}

prepare() {
  if ! installed; then
    lock
    installed || install
    exec 9<&-
  fi
  export KERAS_BACKEND=tensorflow
  export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
  export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
}

run_pipeline() {
  prepare
  # A folder called data/ or pipelines/ where the user stands must not hide the ones here.
  export PYTHONSAFEPATH=1
  exec "$venv/bin/python" -m pipelines.reproduce "$@"
}

run_tests() {
  prepare
  cd "$root"
  step ruff check .
  step ruff format --check .
  step mypy
  if [[ ${1:-} == --all ]]; then
    shift
    set -- -m "slow or not slow" "$@"
  fi
  step pytest -n 2 --dist=worksteal "$@"
}

step() {
  say "$*"
  "$venv/bin/python" -m "$@"
}

# Before anything is installed for it.
check_table() {
  [[ -n ${1:-} ]] && return
  say "'table' needs the name of a table, as in ./reproduce.sh table multvae-synthetic;" \
    "./reproduce.sh -h lists names and flags."
  exit 2
}

case "${1:-}" in
  "") run_pipeline table multvae-synthetic ;;
  list | all | report) run_pipeline "$@" ;;
  table)
    check_table "${@:2}"
    run_pipeline "$@"
    ;;
  test) run_tests "${@:2}" ;;
  -h | --help | help) usage ;;
  *)
    say "unknown command '$1'. Known: list, table NAME, all, report, test; ./reproduce.sh -h explains."
    exit 2
    ;;
esac
