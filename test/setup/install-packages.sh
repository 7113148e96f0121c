#!/bin/sh
# Installs Debian packages without starting, or leaving enabled, any service they bring.
#
#   install-packages.sh PACKAGE...       as root; called by ensure.sh
#
# Debian asks /usr/sbin/policy-rc.d before it starts a service. For the time of the install
# that file says no; afterwards it is what it was. Nothing is removed to make room for a
# package: a machine with another MySQL on it gets an error, not our choice of server.

set -eu
export DEBIAN_FRONTEND=noninteractive

policy=/usr/sbin/policy-rc.d
saved=$policy.before-kv-backup-agent
mark='# kv-backup-agent: no service starts while packages are installed'

restore_policy() {
  if [ -e "$policy" ] && grep -qF "$mark" "$policy"; then rm -f "$policy"; fi
  if [ -e "$saved" ]; then mv "$saved" "$policy"; fi
}

restore_policy # what an install that was killed may have left
trap restore_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -e "$policy" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
chmod 755 "$policy"

had_xinetd=$(command -v xinetd || true)

# One unreachable list of many need not matter; if it does, the install says so.
apt-get update || echo 'apt-get update failed' >&2
apt-get install --yes --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300 "$@"

# Not started now; and not at the next boot either.
if [ -z "$had_xinetd" ] && command -v xinetd >/dev/null; then
  update-rc.d xinetd disable || true
fi
