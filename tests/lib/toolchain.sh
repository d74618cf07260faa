# Sourced: makes sure that a Rust toolchain and a C compiler are there.

toolchain_ready() {
    if ! command -v cc >/dev/null; then
        echo "fetching a C compiler (apt: gcc libc6-dev)"
        toolchain_apt gcc libc6-dev
    fi
    if ! command -v cargo >/dev/null; then
        [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
    fi
    if ! command -v cargo >/dev/null; then
        echo "fetching rustup (apt) and the toolchain that rust-toolchain.toml pins"
        toolchain_apt rustup
        rustup toolchain install
    fi
}

toolchain_apt() {
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    else
        echo "this needs root once: apt-get install $*" >&2
        return 1
    fi
}
