#!/bin/sh
# Print the path of a CPython 3.12 to 3.14 that really runs and can make virtual environments.
#
# A name on the PATH proves nothing (a pyenv shim may refuse, Debian may lack venv), so each candidate is run.
# Order: $PYTHON; python3.13, python3.12, python3.14, python3 in every folder of the PATH; pyenv's versions; uv's.
set -u

minors="13 12 14"

has_uv() { command -v uv >/dev/null 2>&1; }

# Where uv is installed it makes the environment, and ensurepip is not needed.
if has_uv; then needs="venv"; else needs="venv, ensurepip"; fi

# Of a virtual environment the base interpreter is printed: the environment may be the very one to be rebuilt.
probe="
import os, struct, sys, sysconfig
ok = sys.implementation.name == 'cpython' and (3, 12) <= sys.version_info[:2] <= (3, 14)
ok = ok and struct.calcsize('P') == 8 and not sysconfig.get_config_var('Py_GIL_DISABLED')
if not ok:
    sys.exit(1)
import $needs, ctypes, lzma, sqlite3, ssl, zlib
base = getattr(sys, '_base_executable', None) or sys.executable
print(base if os.access(base, os.X_OK) else sys.executable)
"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/find-python.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Does it run, is it the right version, and does an environment made with it run too?
accept() {
    found=$("$1" -I -c "$probe" 2>/dev/null </dev/null) || return 1
    [ -n "$found" ] || return 1
    rm -rf "$scratch/env"
    "$found" -I -m venv --without-pip "$scratch/env" >/dev/null 2>&1 </dev/null || return 1
    "$scratch/env/bin/python" -I -c "import $needs" >/dev/null 2>&1 </dev/null || return 1
    printf '%s\n' "$found"
    exit 0
}

on_path() {
    rest=$PATH:
    while [ -n "$rest" ]; do
        folder=${rest%%:*}
        rest=${rest#*:}
        if [ -f "${folder:-.}/$1" ] && [ -x "${folder:-.}/$1" ]; then accept "${folder:-.}/$1"; fi
    done
}

if [ -n "${PYTHON:-}" ]; then
    accept "$PYTHON"
    echo "find-python: PYTHON=$PYTHON is not a working CPython 3.12 to 3.14; looking for another" >&2
fi

for minor in $minors; do on_path "python3.$minor"; done
on_path python3

for root in "${PYENV_ROOT:-}" "${HOME:-}/.pyenv"; do
    [ -d "$root/versions" ] || continue
    for minor in $minors; do
        for candidate in "$root/versions/3.$minor"*/bin/python; do
            if [ -x "$candidate" ]; then accept "$candidate"; fi
        done
    done
done

if has_uv; then
    for minor in $minors; do
        candidate=$(uv python find --no-project --system "3.$minor" 2>/dev/null </dev/null) && accept "$candidate"
    done
    # Nothing here: uv can fetch one, unless it was told not to.
    if uv python install --quiet 3.13 >&2 </dev/null; then
        candidate=$(uv python find --no-project --system 3.13 2>/dev/null </dev/null) && accept "$candidate"
    fi
fi

cat >&2 <<'END'
find-python: no working CPython 3.12, 3.13 or 3.14 was found.
  Tried $PYTHON, python3.13, python3.12, python3.14 and python3 on the PATH, pyenv's versions, and uv.
  Each was run and had to be able to make a virtual environment.
  Install one (for example `pyenv install 3.13`, `uv python install 3.13`, or your system's python3.13 and
  python3.13-venv), or point to one:  make setup PYTHON=/path/to/python3.13
END
exit 1
