# A MariaDB server of one's own, for tests and the demo. Source this file from sh or bash; it needs no root and no service.
#
#   mariadb_fetch ROOT                        make ROOT/usr hold the server and its clients
#   mariadb_start ROOT DATADIR SOCKET PORT    initialise DATADIR where it is new, start, wait until it answers
#   mariadb_stop  ROOT DATADIR                stop the server of DATADIR and wait until it is gone
#   mariadb_clients ROOT DIR                  fill DIR with the clients, each run with its libraries
#
# Every function says what it does on standard error and returns non-zero with a sentence where it cannot.
# shellcheck shell=sh

# The Debian packages that hold the server, its clients and the libraries that a bare system lacks.
MARIADB_PACKAGES="mariadb-server-core mariadb-client-core mariadb-client mariadb-common libaio1 libnuma1 liburing2"

mariadb_say() {
    printf 'mariadb: %s\n' "$*" >&2
}

# The folder that holds `usr/...` of the server: ROOT where packages were unpacked, else / where one is installed.
mariadb_base() {
    if [ -x "$1/usr/sbin/mariadbd" ]; then
        printf '%s\n' "$1"
    elif [ -x /usr/sbin/mariadbd ]; then
        printf '/\n'
    else
        mariadb_say "no mariadbd below $1 and none in /usr/sbin: call mariadb_fetch $1 first"
        return 1
    fi
}

# Runs a program of the unpacked packages with their libraries: mariadb_exec ROOT PROGRAM ARGUMENT...
mariadb_exec() {
    mariadb_exec_base=$(mariadb_base "$1") || return 1
    shift
    mariadb_exec_program=$1
    shift
    for mariadb_exec_dir in usr/sbin usr/bin; do
        if [ -x "$mariadb_exec_base/$mariadb_exec_dir/$mariadb_exec_program" ]; then
            if [ "$mariadb_exec_base" = / ]; then
                "/$mariadb_exec_dir/$mariadb_exec_program" "$@"
            else
                LD_LIBRARY_PATH=$(mariadb_libraries "$mariadb_exec_base") \
                    "$mariadb_exec_base/$mariadb_exec_dir/$mariadb_exec_program" "$@"
            fi
            return $?
        fi
    done
    mariadb_say "$mariadb_exec_program is not below $mariadb_exec_base"
    return 1
}

# Folders of the unpacked shared libraries, joined by colons.
mariadb_libraries() {
    for mariadb_lib in "$1"/usr/lib/*-linux-gnu "$1"/lib/*-linux-gnu; do
        [ -d "$mariadb_lib" ] && printf '%s:' "$mariadb_lib"
    done
    printf '%s/usr/lib\n' "$1"
}

mariadb_fetch() {
    mariadb_root=$1
    if [ -x "$mariadb_root/usr/sbin/mariadbd" ]; then
        mariadb_say "already in $mariadb_root"
        return 0
    fi
    if [ -x /usr/sbin/mariadbd ] && [ -x /usr/bin/mariadb-dump ]; then
        mariadb_say "installed on this system: $(/usr/sbin/mariadbd --version)"
        return 0
    fi
    for mariadb_tool in apt-get dpkg; do
        if ! command -v "$mariadb_tool" >/dev/null 2>&1; then
            mariadb_say "MariaDB is not installed and $mariadb_tool is missing: install mariadb-server and mariadb-client"
            return 1
        fi
    done
    mkdir -p "$mariadb_root" || return 1
    # Beside the target, so that the rename at the end stays on one file system.
    mariadb_work=$(mktemp -d "$mariadb_root.fetch.XXXXXX") || return 1
    mariadb_say "fetching with apt-get download: $MARIADB_PACKAGES"
    if ! mariadb_download "$mariadb_work"; then
        cat "$mariadb_work/apt.log" >&2
        rm -rf "$mariadb_work"
        mariadb_say "apt-get download failed, with new package lists too"
        return 1
    fi
    for mariadb_deb in "$mariadb_work"/*.deb; do
        mariadb_say "unpacking ${mariadb_deb##*/}"
        if ! dpkg -x "$mariadb_deb" "$mariadb_work/unpacked"; then
            rm -rf "$mariadb_work"
            mariadb_say "${mariadb_deb##*/} cannot be unpacked"
            return 1
        fi
    done
    # The server is what mariadb_fetch looks for: it appears last, with everything else in place.
    mv "$mariadb_work/unpacked/usr/sbin" "$mariadb_work/sbin" &&
        cp -R "$mariadb_work/unpacked/." "$mariadb_root/" &&
        mv "$mariadb_work/sbin" "$mariadb_root/usr/sbin" || {
        rm -rf "$mariadb_work"
        mariadb_say "cannot fill $mariadb_root"
        return 1
    }
    rm -rf "$mariadb_work"
    mariadb_say "ready: $(mariadb_exec "$mariadb_root" mariadbd --no-defaults --version)"
}

# The packages by the names that the package lists know: Debian 13 calls libaio1 libaio1t64. Arguments: options of apt.
mariadb_names() {
    for mariadb_name in $MARIADB_PACKAGES; do
        if apt-cache "$@" show "${mariadb_name}t64" >/dev/null 2>&1; then
            mariadb_name=${mariadb_name}t64
        fi
        printf '%s ' "$mariadb_name"
    done
}

# Downloads the packages into a folder. Where the system's package lists are missing or old, they are brought up to date:
# the system's own by root, else a copy in that folder, which nobody but this download sees.
mariadb_download() {
    # shellcheck disable=SC2046 # the list is split on purpose
    if (cd "$1" && apt-get download $(mariadb_names) >apt.log 2>&1); then
        return 0
    fi
    if [ "$(id -u)" = 0 ]; then
        mariadb_say "the package lists are missing or old: apt-get update"
    else
        mariadb_say "the package lists are missing or old: apt-get update into a folder of its own"
        mkdir -p "$1/apt/lists/partial" "$1/apt/cache/archives/partial" || return 1
        set -- "$1" -o "Dir::State::lists=$1/apt/lists" -o "Dir::Cache=$1/apt/cache"
    fi
    mariadb_into=$1
    shift
    # shellcheck disable=SC2046 # the list is split on purpose
    (cd "$mariadb_into" && apt-get -q "$@" update && apt-get -q "$@" download $(mariadb_names "$@")) \
        >"$mariadb_into/apt.log" 2>&1
}

mariadb_clients() {
    mariadb_base_dir=$(mariadb_base "$1") || return 1
    mkdir -p "$2" || return 1
    for mariadb_client in mariadb mariadb-dump mariadb-admin; do
        mariadb_program=${mariadb_base_dir%/}/usr/bin/$mariadb_client
        if [ ! -x "$mariadb_program" ]; then
            mariadb_say "$mariadb_program is missing"
            return 1
        fi
        {
            printf '#!/bin/sh\n'
            if [ "$mariadb_base_dir" != / ]; then
                printf 'LD_LIBRARY_PATH="%s" ' "$(mariadb_libraries "$mariadb_base_dir")"
            fi
            printf 'exec "%s" "$@"\n' "$mariadb_program"
        } >"$2/$mariadb_client" && chmod 755 "$2/$mariadb_client" || return 1
    done
}

mariadb_start() {
    mariadb_root=$1
    mariadb_data=$2
    mariadb_socket=$3
    mariadb_port=$4
    mariadb_base_dir=$(mariadb_base "$mariadb_root") || return 1
    mariadb_user=$(id -un)
    if [ ! -d "$mariadb_data/mysql" ]; then
        mariadb_say "initialising $mariadb_data"
        mkdir -p "$mariadb_data" "$mariadb_data.tmp" || return 1
        if ! TMPDIR="$mariadb_data.tmp" mariadb_exec "$mariadb_root" mariadb-install-db --no-defaults --basedir="${mariadb_base_dir%/}/usr" \
            --datadir="$mariadb_data" --auth-root-authentication-method=normal --skip-test-db \
            --user="$mariadb_user" >"$mariadb_data.install.log" 2>&1; then
            cat "$mariadb_data.install.log" >&2
            return 1
        fi
    fi
    # A session of its own: the server outlives the shell that started it. A folder of its own for temporary tables: a
    # server that starts deletes those of every other one in a shared folder.
    mkdir -p "$mariadb_data.tmp" || return 1
    (
        if [ "$mariadb_base_dir" != / ]; then
            LD_LIBRARY_PATH=$(mariadb_libraries "$mariadb_base_dir")
            export LD_LIBRARY_PATH
        fi
        exec setsid "${mariadb_base_dir%/}/usr/sbin/mariadbd" --no-defaults --basedir="${mariadb_base_dir%/}/usr" \
            --datadir="$mariadb_data" --socket="$mariadb_socket" --port="$mariadb_port" --bind-address=127.0.0.1 \
            --tmpdir="$mariadb_data.tmp" \
            --pid-file="$mariadb_data/server.pid" --user="$mariadb_user" --character-set-server=latin1 \
            --innodb-buffer-pool-size=64M --skip-name-resolve --log-error="$mariadb_data/server.err"
    ) </dev/null >/dev/null 2>&1 &
    mariadb_tries=0
    until mariadb_exec "$mariadb_root" mariadb-admin --no-defaults --socket="$mariadb_socket" --user=root \
        ping >/dev/null 2>&1; do
        mariadb_tries=$((mariadb_tries + 1))
        if [ "$mariadb_tries" -ge 900 ]; then
            mariadb_say "the server does not answer on $mariadb_socket; the end of its log:"
            tail -n 20 "$mariadb_data/server.err" >&2
            return 1
        fi
        sleep 0.2
    done
    mariadb_say "up on $mariadb_socket and 127.0.0.1:$mariadb_port"
}

mariadb_stop() {
    mariadb_data=$2
    [ -f "$mariadb_data/server.pid" ] || {
        mariadb_say "no server of $mariadb_data runs"
        return 0
    }
    mariadb_pid=$(cat "$mariadb_data/server.pid")
    # Only a process that has this data folder is ours: the number in a stale file may be a stranger's.
    if ! tr '\0' '\n' <"/proc/$mariadb_pid/cmdline" 2>/dev/null | grep -qxF -- "--datadir=$mariadb_data"; then
        mariadb_say "no server of $mariadb_data runs"
        return 0
    fi
    kill "$mariadb_pid"
    mariadb_tries=0
    while kill -0 "$mariadb_pid" 2>/dev/null; do
        mariadb_tries=$((mariadb_tries + 1))
        if [ "$mariadb_tries" -ge 150 ]; then
            mariadb_say "process $mariadb_pid does not end"
            return 1
        fi
        sleep 0.2
    done
    mariadb_say "stopped"
}
