#!/bin/sh
# Makes `npm run demo` and `npm test` work on a Debian machine that has only Node and npm.
#
#   npm packages      when node_modules is missing or older than package-lock.json
#   Debian packages   when a program is missing: installed when we are root or sudo asks no
#                     password; otherwise the command to run is printed
#   dist/             built, incrementally
#
# Says one line for each thing it did, and nothing when there was nothing to do. It never
# starts a service, never removes a package, and never runs an npm package's install script.
# Two at once in one checkout: the second one waits.

set -eu
CDPATH='' cd -- "$(dirname -- "$0")/../.."

# Where Debian keeps mariadbd and xinetd; not in an ordinary user's PATH.
PATH="$PATH:/usr/sbin:/sbin"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# --- Node ---------------------------------------------------------------------------------

command -v node >/dev/null || fail 'Node is missing. Node >= 20.15 and npm are needed (Debian 13: apt-get install nodejs npm).'
command -v npm >/dev/null || fail 'npm is missing. Debian: apt-get install npm.'
# In words that a Node of any age understands.
node -e 'var v = process.versions.node.split("."); process.exit(+v[0] > 20 || (+v[0] === 20 && +v[1] >= 15) ? 0 : 1)' ||
  fail "Node $(node --version) is too old; 20.15 or newer is needed (Debian 13 has one, Debian 12 does not)."

# --- one at a time ------------------------------------------------------------------------

# The lock is on package.json itself, so that it leaves no file behind. Children get it closed.
exec 9<package.json
if command -v flock >/dev/null && ! flock --nonblock 9; then
  say 'another setup of this checkout is running; waiting for it'
  flock 9
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a program and keeps what it says; only `fail_showing` shows the end of that.
captured() { "$@" >"$output" 2>&1 9<&- </dev/null; }
fail_showing() {
  tail -n 15 "$output" >&2
  fail "$*"
}

# --- npm packages -------------------------------------------------------------------------

install_npm_packages() {
  set -- --ignore-scripts --include=dev --no-audit --no-fund --loglevel=error --fetch-retry-mintimeout=2000
  captured npm ci "$@" && return 0
  # npm >= 10 insists on a lock file that names the packages of every other platform too, and one
  # that was written behind a registry's mirror may lack some. Then: the versions of the lock file
  # all the same, and no change to it.
  grep -q 'in sync' "$output" && captured npm install --no-save "$@"
}

# npm writes this file last, so an install that was interrupted counts as none.
installed=node_modules/.package-lock.json
if [ ! -f "$installed" ] || [ -n "$(find package-lock.json -newer "$installed")" ]; then
  say 'installing npm packages ...'
  install_npm_packages ||
    fail_showing 'npm could not install the packages. Is the network there? (npm ci --ignore-scripts)'
  touch "$installed"
  say 'npm packages installed'
fi

# --- Debian packages ----------------------------------------------------------------------

# The -core packages of MariaDB are the programs without a service.
missing_programs=
missing_packages=
missing() { # PROGRAM PACKAGE
  missing_programs="$missing_programs $1"
  case " $missing_packages " in *" $2 "*) ;; *) missing_packages="$missing_packages $2" ;; esac
}
while read -r program package; do
  command -v "$program" >/dev/null || missing "$program" "$package"
done <<'PROGRAMS'
mariadbd            mariadb-server-core
mariadb-install-db  mariadb-server-core
mariadb             mariadb-client-core
mariadb-binlog      mariadb-client
mariadb-backup      mariadb-backup
mbstream            mariadb-backup
bsdtar              libarchive-tools
gzip                gzip
zstd                zstd
pigz                pigz
lz4                 lz4
xz                  xz-utils
uuencode            sharutils
uudecode            sharutils
xinetd              xinetd
socat               socat
systemd-notify      systemd
systemd-socket-activate systemd
logger              bsdutils
unshare             util-linux
setpriv             util-linux
prlimit             util-linux
script              bsdutils
useradd             passwd
flock               util-linux
systemd-analyze     systemd
logrotate           logrotate
openssl             openssl
stunnel             stunnel4
lowntfs-3g          ntfs-3g
PROGRAMS
# Debian's smallest installs of these two lack modules that tests compare with.
perl -MMIME::Base64 -e 1 2>/dev/null || missing perl perl
perl -MDBI -e 1 2>/dev/null || missing perl-DBI libdbi-perl
python3 -c 'import ssl, tarfile' 2>/dev/null || missing python3 python3

if [ -n "$missing_packages" ]; then
  packages=${missing_packages# }
  by_hand="apt-get update && apt-get install --no-install-recommends $packages"
  command -v apt-get >/dev/null ||
    fail "these programs are missing:$missing_programs. This is no Debian, so they are yours to install (Debian calls the packages: $packages)."
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  else
    fail "these programs are missing:$missing_programs. As root, run: $by_hand"
  fi
  say "installing Debian packages: $packages ..."
  # $as_root and $packages are lists of words.
  # shellcheck disable=SC2086
  captured $as_root sh test/setup/install-packages.sh $packages ||
    fail_showing "apt could not install the packages. Is the network there? By hand, as root: $by_hand"
  say 'Debian packages installed'
fi

# --- dist/ --------------------------------------------------------------------------------

build_state() { stat -c '%y %i' dist/.tsbuildinfo 2>/dev/null || true; }

before=$(build_state)
captured npm run --silent build || fail_showing 'the sources do not compile, see above (npm run build)'
[ "$before" = "$(build_state)" ] || say 'built dist/'
