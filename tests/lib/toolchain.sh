# Sourced, with the top of the repository as the working folder or in $repo: makes sure that a Rust toolchain and a C
# compiler are there.

toolchain_ready() {
    if ! command -v cc >/dev/null; then
        echo "fetching a C compiler (apt: gcc libc6-dev)"
        toolchain_apt gcc libc6-dev || return 1
    fi
    if ! command -v cargo >/dev/null; then
        [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
    fi
    command -v cargo >/dev/null || toolchain_rust
}

# rustup where the system has it; else a compiler of the system that is new enough; else a person must do it.
toolchain_rust() {
    local wanted names
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "${repo:-.}/Cargo.toml")
    toolchain_lists
    if [ -n "$(toolchain_candidate rustup)" ]; then
        echo "fetching rustup (apt) and the toolchain that rust-toolchain.toml pins"
        toolchain_apt rustup && (cd "${repo:-.}" && rustup toolchain install)
        return
    fi
    # Debian 12 has no rustup; its compilers for browsers (rustc-web) are kept new.
    for names in "rustc cargo" "rustc-web cargo-web"; do
        if toolchain_is_new_enough "$(toolchain_candidate "${names%% *}")" "$wanted"; then
            echo "fetching a Rust compiler (apt: $names); rust-toolchain.toml pins another one, which rustup alone knows"
            # shellcheck disable=SC2086 # the list is split on purpose
            toolchain_apt $names
            return
        fi
    done
    toolchain_by_hand "$wanted"
    return 1
}

# The package lists brought up to date, where this user may.
toolchain_lists() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq || echo "the package lists cannot be brought up to date; going on with what is there" >&2
    fi
}

# The version of a package that apt would install; nothing where there is none.
toolchain_candidate() {
    command -v apt-cache >/dev/null || return 0
    LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -vxF '(none)' || true
}

toolchain_is_new_enough() {
    [ -n "$1" ] && dpkg --compare-versions "$1" ge "$2"
}

# What a person must do. No test has ever taken this way: the project's machines get their compiler from a package.
toolchain_by_hand() {
    {
        echo "There is no Rust compiler of version $1 or newer, and none in this system's packages. Install rustup by hand:"
        if command -v curl >/dev/null; then
            cat <<'TEXT'
    from=https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu/rustup-init
    curl --proto '=https' --tlsv1.2 -fsSO "$from" && curl --proto '=https' --tlsv1.2 -fsS "$from.sha256"
    sha256sum rustup-init        # the digest must be the one that was printed before
    chmod +x rustup-init && ./rustup-init -y --profile minimal --default-toolchain none
TEXT
            echo "(as rustup.rs says; untested here). Then start this again."
        else
            echo "    https://rustup.rs/ says how; this machine has no curl to fetch it with. Then start this again."
        fi
    } >&2
}

toolchain_apt() {
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    else
        echo "this needs root once: apt-get install $*" >&2
        return 1
    fi
}
