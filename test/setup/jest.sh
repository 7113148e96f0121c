#!/bin/sh
# Runs Jest over what is built in dist/. Arguments go to Jest.
#
#   sh test/setup/jest.sh                                   everything
#   sh test/setup/jest.sh --coverage                        everything, with coverage: twice the time
#   sh test/setup/jest.sh test/protocol/version.test.ts     one file; sources' names work
#   sh test/setup/jest.sh --coverage protocol               a part, with coverage
#
# The counts are left in coverage/test-results.json, which `.ci/run` reads.

set -eu
CDPATH='' cd -- "$(dirname -- "$0")/../.."
PATH="$PATH:/usr/sbin:/sbin" # where Debian keeps mariadbd and xinetd
export PATH

# The built file of a test that is named by its source.
for argument; do
  shift
  case $argument in *.test.ts) argument=${argument%.ts}.js ;; esac
  set -- "$@" "$argument"
done

# Jest loads ES modules through an experimental part of Node. The flags are given here and not
# in NODE_OPTIONS: workers inherit them all the same, but the programs under test do not.
# UV_USE_IO_URING: tests that become another user for a moment cannot while io_uring may be in use (Node's own rule).
mkdir -p coverage
export UV_USE_IO_URING=0
exec node --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js \
  --json --outputFile=coverage/test-results.json "$@"
