#!/bin/sh
# Bring .venv to what is asked for: the package itself, editable, with the extras named as arguments.
#
#   sh scripts/setup-env.sh              core only
#   sh scripts/setup-env.sh test lint    core and these extras
#
# The stamp is what tells a finished environment from a half-made one: it is taken away before anything is
# changed and written last. An environment without one, or that no longer runs, is made anew; one whose
# pyproject.toml or constraints.txt changed is brought up to date. Extras only ever accumulate.
set -eu

cd "$(dirname "$0")/.."
venv=.venv
python=$venv/bin/python
stamp=$venv/.progression-stamp

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

version_of() { "$1" -I -c 'import sys; print(*sys.version_info[:3], sep=".")' 2>/dev/null </dev/null; }

stamped() { sed -n "s/^$1 //p" "$stamp" 2>/dev/null; }

# Finished here (a copied or moved environment points to the old place), and its interpreter still runs.
sound() {
    [ -f "$stamp" ] || return 1
    [ "$(stamped root)" = "$(pwd -P)" ] || return 1
    have=$(version_of "$python") || return 1
    [ "$have" = "$(stamped python)" ] || return 1
    # A Python asked for by name wins over the one the environment happens to have.
    if [ -n "${PYTHON:-}" ]; then
        wanted=$(version_of "$PYTHON") || wanted=
        case $wanted in
            3.12.* | 3.13.* | 3.14.*) [ "$wanted" = "$have" ] || return 1 ;;
        esac
    fi
}

# Installed from these very files, with every extra asked for.
current() {
    [ "$(stamped sources)" = "$(sources)" ] || return 1
    for extra in "$@"; do
        case " $(stamped extras) " in *" $extra "*) ;; *) return 1 ;; esac
    done
}

sources() { cat pyproject.toml constraints.txt | cksum; }

if sound && current "$@"; then exit 0; fi

base=$(sh scripts/find-python.sh) || exit 1

# One set-up at a time. The lock belongs to the open file, so it goes when this script and the installer it
# started are gone, however they ended; taken through Python because flock(1) is not everywhere.
exec 9>"$venv.lock"
"$base" -I -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("setup: waiting for another set-up of .venv to finish", file=sys.stderr, flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
' 9>&9 || say "no file locks here; do not run two set-ups at once"

# Another set-up may have done it while this one waited.
if sound && current "$@"; then exit 0; fi

if command -v uv >/dev/null 2>&1; then tool=uv; else tool=pip; fi

extras=
if sound && { [ "$tool" = uv ] || "$python" -I -m pip --version >/dev/null 2>&1; }; then
    extras=$(stamped extras)
    rm -f "$stamp"
else
    rm -f "$stamp"
    rm -rf "$venv"
    say "making $venv with Python $(version_of "$base") ($tool)"
    # An active environment, or one uv is told to use, must not be taken for this one.
    unset VIRTUAL_ENV UV_PROJECT_ENVIRONMENT || true
    if [ "$tool" = uv ]; then
        uv venv --quiet --no-project --python "$base" "$venv" </dev/null
    else
        "$base" -I -m venv "$venv" </dev/null
    fi
fi

for extra in "$@"; do
    case " $extras " in *" $extra "*) ;; *) extras="${extras:+$extras }$extra" ;; esac
done
target=.
if [ -n "$extras" ]; then target=".[$(echo "$extras" | tr ' ' ',')]"; fi

say "installing progression-bayes with: core${extras:+ $extras} (minutes the first time)"
# Taken before the installation: files edited while it runs count as not yet installed.
sources=$(sources)
started=$(date +%s)
if [ "$tool" = uv ]; then
    uv pip install --quiet --python "$python" -c constraints.txt -e "$target" </dev/null ||
        fail "uv could not install $target; see above. Running make again starts afresh."
else
    # -qq still prints errors.
    "$python" -I -m pip install -qq --disable-pip-version-check --no-input -c constraints.txt -e "$target" </dev/null ||
        fail "pip could not install $target; see above. Running make again starts afresh."
fi

{
    echo "root $(pwd -P)"
    echo "python $(version_of "$python")"
    echo "sources $sources"
    echo "extras $extras"
} >"$stamp.new"
mv "$stamp.new" "$stamp"
say "done in $(($(date +%s) - started)) s"
