# shellcheck shell=sh
# Sourced by the scripts beside it: makes .uv/ (a pinned uv) and .venv/ (what uv.lock says).
#
# Needs git's checkout and a CPython >= 3.11 with venv; writes only into the checkout and the
# caches of pip and uv. Settings of pip and uv (PIP_*, UV_*) are taken from the environment as
# they are, UV_PROJECT_ENVIRONMENT too. $root must be set to the checkout.

: "${root:?}"
uv_version=0.13.9
venv=${UV_PROJECT_ENVIRONMENT:-.venv}
case $venv in /*) ;; *) venv=$root/$venv ;; esac

say() { printf '%s\n' "hongyan: $*" >&2; }
die() { say "$@"; exit 1; }

# prepare LEVEL: make $venv ready. Each level has all of the one before:
# run (the server), dev (what scripts/test needs), all (what scripts/check needs).
prepare() {
    if _ready "$1"; then return 0; fi
    mkdir -p "$root/.uv" || die "cannot write to $root"
    exec 9>"$root/.uv/lock" || die "cannot write to $root/.uv"
    _find_python
    _lock
    # Another script may have done it while this one waited for the lock.
    if ! _ready "$1"; then
        _install_uv
        _sync "$1"
    fi
    exec 9>&- # whoever is started from here on must not hold the lock
}

# The stamp is a copy of everything that decides what is installed, with sums of the files of the
# web pages, which are built with it. A moved checkout (entry points carry absolute paths) differs
# too.
_wanted() {
    printf '%s\n' "$root" "$venv" "${HONGYAN_SKIP_PAGES:-}" &&
        cat "$root/pyproject.toml" "$root/uv.lock" &&
        { find "$root/web" "$root/sdk/ts/src" "$root/hatch_build.py" "$root/package-lock.json" \
            -name node_modules -prune -o -name test -prune -o -type f -exec cksum {} + \
            2>/dev/null || :; } # what is not there has no sum; cmp stops reading at a difference
}

_ready() {
    [ -x "$venv/bin/python" ] && [ -x "$venv/bin/hongyan" ] && [ -f "$venv/hongyan-$1.stamp" ] &&
        _wanted | cmp -s - "$venv/hongyan-$1.stamp"
}

# Sets $python: the first fitting interpreter of UV_PYTHON, python3, python3.15 … python3.11.
_find_python() {
    python='' lame=''
    for _name in ${UV_PYTHON:+"$UV_PYTHON"} python3 \
        python3.15 python3.14 python3.13 python3.12 python3.11 python; do
        _exe=$(command -v "$_name" 2>/dev/null) || continue
        # A shim of a version manager exists, yet fails for versions that are not chosen.
        _found=$("$_exe" -c '
import sys
if sys.version_info < (3, 11) or sys.implementation.name != "cpython":
    sys.exit(1)
try:
    import ensurepip, venv
    print("fit", sys.executable)
except ImportError:
    print("lame", "python%d.%d" % sys.version_info[:2])
' 2>/dev/null) || continue
        case $_found in
            fit\ *) python=${_found#fit } && return 0 ;;
            lame\ *) lame=${lame:-${_found#lame }} ;;
        esac
    done
    if [ -z "$lame" ]; then
        die "needs CPython 3.11 or newer as python3; install it (Debian, Ubuntu: apt-get install python3 python3-venv)"
    elif command -v apt-get >/dev/null 2>&1; then
        die "$lame has no venv; run: apt-get install $lame-venv"
    else
        die "$lame has no venv and ensurepip modules; install them with your package manager"
    fi
}

# The lock belongs to the open file 9, so it ends with this shell, however that dies.
_lock() {
    "$python" -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("hongyan: waiting for another script that is installing", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
' || die "cannot lock $root/.uv/lock"
}

_install_uv() {
    uv=$root/.uv/bin/uv
    case $("$uv" --version 2>/dev/null) in "uv $uv_version"*) return 0 ;; esac
    say "installing uv $uv_version into .uv/ with $python"
    if ! { "$python" -m venv --clear "$root/.uv/new" &&
        "$root/.uv/new/bin/python" -m pip install --quiet --disable-pip-version-check \
            --only-binary :all: "uv==$uv_version"; } >&2; then
        die "could not install uv (see above): is the Python package index reachable?"
    fi
    if ! { mkdir -p "$root/.uv/bin" && mv -f "$root/.uv/new/bin/uv" "$uv"; }; then
        die "cannot write to $root/.uv"
    fi
    rm -rf "$root/.uv/new"
}

_sync() {
    case $1 in
        run) set -- run --no-default-groups ;;
        dev) set -- dev --group dev ;;
        all) set -- all --all-groups ;;
    esac
    _level=$1
    shift
    say "installing packages into ${venv#"$root"/}"
    # --inexact: a server started after the tests keeps the tests' packages.
    # An activated environment is not ours, and uv must not fetch a Python of its own.
    if ! (
        unset VIRTUAL_ENV
        UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$venv
        export UV_PYTHON_DOWNLOADS UV_PROJECT_ENVIRONMENT
        if [ -z "${UV_CACHE_DIR:-}" ] && ! mkdir -p "${XDG_CACHE_HOME:-${HOME:-}/.cache}" 2>/dev/null; then
            UV_CACHE_DIR=$root/.uv/cache && export UV_CACHE_DIR # no home to write to
        fi
        cd "$root" && "$uv" sync --quiet --frozen --inexact --reinstall-package hongyan \
            --python "$python" "$@" >&2
    ); then
        die "could not install the packages of uv.lock (see above)"
    fi
    for _done in run dev all; do # a level has all of those before it
        _wanted >"$venv/hongyan-$_done.stamp" || die "cannot write to $venv"
        if [ "$_done" = "$_level" ]; then break; fi
    done
}
