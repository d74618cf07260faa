# Parts of deploy/demo. Sourced by it from bash.
# shellcheck shell=bash

say() { printf '%s\n' "$*"; }
title() { printf '\n== %s\n' "$*"; }
item() { printf '   %s\n' "$*"; }
step() { printf '\n$ %s\n' "$*"; }
fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# An absolute path without making anything.
absolute() { case $1 in /*) printf '%s\n' "${1%/}" ;; *) printf '%s/%s\n' "$PWD" "${1%/}" ;; esac; }

# A path as a person at the prompt that started the demo would write it.
demo_prompt=$PWD
short() { case $1 in "$demo_prompt"/*) printf '%s\n' "${1#"$demo_prompt"/}" ;; *) printf '%s\n' "$1" ;; esac; }

# Processes of the demo: programs that it starts, whose command line names its folder, and that are this user's.
demo_processes() {
    local dir=$1 proc pid line
    for proc in /proc/[0-9]*; do
        pid=${proc#/proc/}
        [ -O "$proc" ] || continue
        # A process that ended meanwhile has none.
        line=$(tr '\0' '\n' 2>/dev/null <"$proc/cmdline") || continue
        case $line in *"$dir/"*) ;; *) continue ;; esac
        case ${line%%$'\n'*} in
            */cavalcade | */cavalcade-agent | */standin-packs | */mariadbd | */java | java | sh | /bin/sh | */bin/*.sh)
                printf '%s\n' "$pid"
                ;;
        esac
    done
}

# Ends everything that runs from the folder: TERM, and after a minute KILL. Controller and agents first, so that nothing is
# looked after any more; then servers and database.
demo_stop() {
    local dir=$1 pids tries=0
    pids=$(demo_processes "$dir")
    # shellcheck disable=SC2086 # one word each
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    while pids=$(demo_processes "$dir") && [ -n "$pids" ]; do
        tries=$((tries + 1))
        # shellcheck disable=SC2086
        if [ "$tries" -ge 300 ]; then kill -KILL $pids 2>/dev/null || true; fi
        [ "$tries" -lt 600 ] || fail "these processes do not end: $pids"
        sleep 0.2
    done
}

# Makes the folder afresh. What was fetched stays.
demo_folder() {
    local dir=$1 mark=$1/.cavalcade-demo
    if [ -e "$dir" ] && [ ! -e "$mark" ] && [ -n "$(ls -A "$dir")" ]; then
        fail "$dir holds something else; name another folder with --dir"
    fi
    if [ -e "$mark" ]; then
        demo_stop "$dir"
        find "$dir" -mindepth 1 -maxdepth 1 ! -name fetched ! -name .cavalcade-demo -exec rm -rf {} +
    fi
    mkdir -p "$dir/bin" "$dir/log"
    : >"$mark"
}

demo_end() {
    local dir=$1 keep=$2 status=$3
    trap - EXIT INT TERM
    if [ "$status" != 0 ]; then
        printf '\nThe demo ended with %s. Its logs are in %s.\n' "$status" "$(short "$dir")/log" >&2
    fi
    if [ -z "$keep" ]; then
        demo_stop "$dir"
    elif [ "$status" != 0 ]; then
        printf 'What it started goes on; stop it: deploy/demo --stop --dir %s\n' "$dir" >&2
    fi
    exit "$status"
}

# Runs something that has much to say: all of it goes to a file, and is shown where it fails.
quietly() {
    local log=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        fail "this failed: $* (all of it: $log)"
    fi
}

# Programs, in $dir/bin.
demo_programs() {
    local repo=$1 dir=$2 built begun=$SECONDS program
    if [ -n "${CAVALCADE_PROGRAMS:-}" ]; then
        built=$CAVALCADE_PROGRAMS
        item "built already, in $built"
    else
        toolchain_ready
        built=${CARGO_TARGET_DIR:-$repo/target}/release
        item "cargo build --release (some minutes the first time; crates come from crates.io)"
        (cd "$repo" && quietly "$dir/log/build.log" cargo build --release --workspace --bins --no-default-features --locked)
        item "built in $((SECONDS - begun)) s"
    fi
    for program in cavalcade cavalcade-agent standin-packs standin-java; do
        [ -x "$built/$program" ] || fail "$built holds no $program"
        cp "$built/$program" "$dir/bin/$program"
    done
}

demo_standins() {
    local dir=$1
    # Slow enough that a person sees what happens.
    cat >"$dir/standins.json" <<'JSON'
{ "start": 2.0, "migration": { "per_order": 0.6 } }
JSON
    quietly "$dir/log/packs.log" "$dir/bin/standin-packs" "$dir/packs" --jdk-witness "$dir/witness.jsonl" \
        --settings "$dir/standins.json"
    item "stand-ins for WSO2's packs written; no software of WSO2 is in them"
}

# A port of an address that nobody listens on; not the one that was chosen before: free_port ADDRESS [PORT]
free_port() {
    local address=$1 taken=${2:-} port
    for port in $(shuf -i 31000-32700 -n 50); do
        if [ "$port" != "$taken" ] && ! (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return 0
        fi
    done
    fail "no free port found"
}

# A MariaDB of the demo's own with the databases of 3.1.0.
demo_database() {
    local dir=$1 packs=$2 root=${CAVALCADE_MARIADB_ROOT:-$1/fetched/mariadb}
    if [ ! -x "$root/usr/sbin/mariadbd" ] && [ ! -x /usr/sbin/mariadbd ]; then
        item "fetching MariaDB's Debian packages into $(short "$root") (about 11 MB, not installed)"
        mkdir -p "$(dirname "$root")"
    fi
    quietly "$dir/log/mariadb-fetch.log" mariadb_fetch "$root"
    database_port=$(free_port 127.0.0.1)
    quietly "$dir/log/mariadb.log" mariadb_start "$root" "$dir/mariadb" "$dir/mariadb.sock" "$database_port"
    quietly "$dir/log/mariadb-clients.log" mariadb_clients "$root" "$dir/mariadb-bin"
    item "MariaDB runs on 127.0.0.1:$database_port, its data in $(short "$dir/mariadb")"
}

demo_sql() {
    "$1/mariadb-bin/mariadb" --no-defaults --socket="$1/mariadb.sock" --user=root --default-character-set=utf8mb4 "$2"
}

# The content of a database: that of the stand-ins, else the schema beside the packs or out of the old API-M pack.
demo_schema() {
    local dir=$1 packs=$2 name=$3 inside=dbscripts/mysql.sql
    [ "$name" != am_db ] || inside=dbscripts/apimgt/mysql.sql
    if [ "$packs" = "$dir/packs" ]; then
        cat "$dir/data/$name.sql"
    elif [ -f "$packs/$name-3.1.0.sql" ]; then
        cat "$packs/$name-3.1.0.sql"
    else
        unzip -p "$packs/wso2am-3.1.0.zip" "wso2am-3.1.0/$inside"
    fi
}

demo_old_fleet() {
    local dir=$1 packs=$2 java_home=$3 full=$4 name names='' address offset https
    # shellcheck disable=SC2086 # options or none
    "$dir/bin/standin-packs" demo-fleet "$dir" --packs "$packs" --java-home "$java_home" \
        --database-port "$database_port" --client-bin "$dir/mariadb-bin" ${balancer:+--balancer $balancer} $full >"$dir/nodes"
    demo_sql "$dir" mysql <"$dir/accounts.sql"
    for name in "$dir"/data/*.sql; do
        name=$(basename "$name" .sql)
        demo_schema "$dir" "$packs" "$name" | demo_sql "$dir" "$name"
        names="$names $name"
    done
    item "these databases hold the schemas of 3.1.0:$names"
    "$dir/bin/standin-packs" old-fleet "$dir/old-fleet.json" 2>"$dir/log/old-fleet.log" |
        while read -r name _; do
            read -r _ address offset https < <(grep "^$name " "$dir/nodes")
            printf '   %-6s on %s runs; offset %s, https on %s\n' "$name" "$address" "$offset" "$https"
        done || { cat "$dir/log/old-fleet.log" >&2; fail "the old fleet did not start"; }
}

# Starts a program in a session of its own: it outlives this shell when it is kept.
demo_launch() {
    local log=$1
    shift
    setsid "$@" </dev/null >"$log" 2>&1 &
}

demo_await() {
    local what=$1 log=$2 tries=0
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 900 ]; then
            tail -n 20 "$log" >&2
            fail "$what"
        fi
        sleep 0.2
    done
}

demo_controller() {
    local dir=$1 agents enrol
    agents=$(free_port 127.0.10.1)
    enrol=$(free_port 127.0.10.1 "$agents")
    controller=127.0.10.1:$agents
    demo_launch "$dir/log/controller.log" "$dir/bin/cavalcade" --state "$dir/controller" serve --agents "$controller" \
        --enrol "127.0.10.1:$enrol" --name 127.0.10.1
    demo_await "the controller does not answer" "$dir/log/controller.log" "$dir/bin/cavalcade" --state "$dir/controller" status
    item "controller on $controller, its state in $(short "$dir/controller")"
}

balancer=''
# A load balancer that writes down which servers it is told to drain and to enrol.
demo_balancer() {
    local dir=$1 port
    port=$(free_port 127.0.10.2)
    balancer=http://127.0.10.2:$port
    demo_launch "$dir/log/balancer.log" "$dir/bin/standin-packs" balancer --listen "127.0.10.2:$port" \
        --file "$dir/load-balancer.txt"
    demo_await "the load balancer does not answer" "$dir/log/balancer.log" demo_answers 127.0.10.2 "$port"
    item "a stand-in for a load balancer on $balancer"
}

demo_answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# Tokens for all hosts, then each agent: enrolled once, started.
demo_agents() {
    local dir=$1 name enrol_at count
    "$dir/bin/cavalcade" --state "$dir/controller" token create --all "$dir/fleet.yaml" --out "$dir/tokens" \
        --output json >"$dir/tokens.json" 2>"$dir/log/tokens.log" || { cat "$dir/log/tokens.log" >&2; fail "no tokens"; }
    enrol_at=$(sed -n 's/.*"enrol_at": "\([^"]*\)".*/\1/p' "$dir/tokens.json" | head -n 1)
    mkdir -p "$dir/agents"
    while read -r name _; do
        quietly "$dir/log/enrol-$name.log" "$dir/bin/cavalcade-agent" enroll --controller "$enrol_at" \
            --token-file "$dir/tokens/$name.token" --state "$dir/agents/$name"
        demo_launch "$dir/log/agent-$name.log" "$dir/bin/cavalcade-agent" run --controller "$controller" \
            --state "$dir/agents/$name"
    done <"$dir/nodes"
    count=$(wc -l <"$dir/nodes")
    demo_await "not all agents are connected" "$dir/log/controller.log" demo_connected "$dir" "$count"
    item "$count agents enrolled with one-time tokens, running and connected"
}

demo_connected() {
    [ "$("$1/bin/cavalcade" --state "$1/controller" status --output json | grep -c '"connected": true')" = "$2" ]
}

# The preview's counts; the whole is in a file.
demo_preview() {
    bin/cavalcade preview upgrade.plan >preview.txt
    sed -n '/^Preview: /,$p' preview.txt
    item "the diff of every file on every node: $(short "$PWD")/preview.txt"
}

# Applies to the end. The plan asks for the word of a person before the first change of a schema: here the demo gives it.
demo_apply() {
    local digest status=0
    digest=$(sed -n '/.*"sha256": *"\([0-9a-f]*\)".*/{s//\1/p;q}' upgrade.plan)
    bin/cavalcade apply upgrade.plan --confirm "$digest" || status=$?
    if [ "$status" = 5 ]; then
        step "cavalcade approve upgrade-am-db"
        bin/cavalcade approve upgrade-am-db --yes --why "the backups are proved (said by the demo)"
        step "cavalcade apply upgrade.plan"
        status=0
        bin/cavalcade apply upgrade.plan || status=$?
    fi
    if [ "$status" = 5 ]; then
        demo_carry_user_stores
        status=0
        bin/cavalcade apply upgrade.plan || status=$?
    fi
    [ "$status" = 0 ] || exit "$status"
}

# What the migration encrypted anew in the files of its own home, a person brings to the other Identity Server.
demo_carry_user_stores() {
    local from=hosts/is-1/wso2is-5.11.0/repository to=hosts/is-2/wso2is-5.11.0/repository file
    (cd "$from" && find deployment/server/userstores tenants -path '*/userstores/*.xml') | while read -r file; do
        cp "$from/$file" "$to/$file"
    done
    step "cavalcade approve carry-user-stores"
    bin/cavalcade approve carry-user-stores --yes --why "the files of is-1 are on is-2 (said by the demo)"
    step "cavalcade apply upgrade.plan"
}

demo_summary() {
    local dir=$1 name address https home
    while read -r name address _ https; do
        for home in "$dir/hosts/$name"/wso2is-5.11.0 "$dir/hosts/$name"/wso2am-4.0.0; do
            [ ! -d "$home" ] || printf '   %-6s %-28s https://%s:%s\n' "$name" "$(cat "$home/bin/version.txt")" "$address" "$https"
        done
    done <"$dir/nodes"
    printf '   agents at rest: %s MiB resident at most\n' "$(demo_resident)"
}

# The largest agent's resident memory in MiB, with one digit behind the point.
demo_resident() {
    bin/cavalcade status --output json | sed -n 's/.*"resident_kib": \([0-9]*\).*/\1/p' | sort -n | tail -n 1 |
        awk '{ printf "%.1f", $1 / 1024 }'
}

demo_where_next() {
    local dir=$1 keep=$2
    quietly log/report.log bin/cavalcade report upgrade.plan --out report.html
    bin/cavalcade logs --since -1d >logs.txt 2>log/logs.log
    title "Where to look, in $(short "$dir")"
    item "report.html   what ran where, when, with which evidence"
    item "logs.txt      the central log, $(wc -l <logs.txt) lines of all steps and servers"
    item "preview.txt   every diff, before anything was changed"
    [ -z "$balancer" ] || item "load-balancer.txt  when which server was drained and enrolled"
    item "fleet.yaml    what an operator writes; upgrade.plan: what was made of it"
    item "hosts/        old and new homes;  backups/  the proved backups"
    if [ -n "$keep" ]; then
        item "Everything still runs:"
        item "  export PATH=$dir/bin:\$PATH CAVALCADE_STATE=$dir/controller"
        item "  cavalcade status; cavalcade node list; cavalcade logs -f --node 'is-*'"
        item "  deploy/demo --stop --dir $dir"
    else
        item "All that was started is stopped now; --keep would leave it running."
    fi
}
