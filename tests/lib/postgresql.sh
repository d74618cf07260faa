# A PostgreSQL of one's own, for tests: Debian's packages unpacked into a folder, without root. Sourced from bash.
#
#   postgresql_fetch ROOT   make ROOT/bin hold the server's programs and its clients
# shellcheck shell=bash

postgresql_say() { printf 'postgresql: %s\n' "$*"; }

postgresql_fetch() {
    local root=$1 work server packages deb
    if [ -x "$root/bin/initdb" ]; then
        postgresql_say "already in $root"
        return 0
    fi
    server=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)
    if [ -z "$server" ]; then
        postgresql_say "apt knows no package postgresql: install a server, or run 'apt-get update' once" >&2
        return 1
    fi
    # The libraries that this system lacks, as apt would install them; not LLVM, which only speeds up long queries.
    packages=$(apt-get -s install --no-install-recommends "$server" 2>/dev/null | awk '/^Inst lib/ { print $2 }' |
        grep -vE '^libllvm|-perl$' || true)
    packages="$server ${server/postgresql-/postgresql-client-} libpq5 $packages"
    mkdir -p "$root"
    work=$(mktemp -d "$root/fetch.XXXXXX")
    postgresql_say "fetching with apt-get download: $(printf '%s ' $packages)"
    # shellcheck disable=SC2086 # one word each
    if ! (cd "$work" && apt-get download $(printf '%s\n' $packages | sort -u) >apt.log 2>&1); then
        cat "$work/apt.log" >&2
        rm -rf "$work"
        postgresql_say "apt-get download failed; with old package lists run 'apt-get update' once" >&2
        return 1
    fi
    for deb in "$work"/*.deb; do
        dpkg -x "$deb" "$root"
    done
    rm -rf "$work"
    postgresql_wrap "$root"
    postgresql_say "ready: $("$root/bin/postgres" --version)"
}

# Scripts that run each program with the unpacked libraries. initdb comes last: postgresql_fetch looks for it.
postgresql_wrap() {
    local root=$1 folder libraries program
    folder=$(ls -d "$root"/usr/lib/postgresql/*/bin)
    libraries=$(printf '%s:' "$root"/usr/lib/*-linux-gnu "$root"/lib/*-linux-gnu)
    mkdir -p "$root/bin"
    for program in postgres pg_isready psql pg_dump pg_restore initdb; do
        printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "${libraries%:}" "$folder/$program" >"$root/bin/$program"
        chmod 755 "$root/bin/$program"
    done
}
